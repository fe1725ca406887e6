from __future__ import annotations

from pathlib import Path

import pytest

from seqzoo.data.files.tagging_files import TaggingFiles
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.text.codec import CharacterCodec, PlaceCodec, spec_from_plain, spec_to_plain
from seqzoo.data.text.spelling import Spellings
from seqzoo.data.text.vocabulary import SOURCE_SPECIALS, Vocabulary

CODEC = CharacterCodec(Vocabulary([*SOURCE_SPECIALS, *"abcdef"]), 4)


@pytest.mark.parametrize(
    ("token", "written"), [("a", "a"), ("abcd", "abcd"), ("abcdef", "abef"), ("fxa", "f<unk>a"), ("<unk>", "<unk>" * 4)]
)
def test_a_long_token_keeps_its_beginning_and_its_end(token: str, written: str) -> None:
    assert CODEC.decode(CODEC.encode(token)) == written


def test_a_limit_that_is_odd_keeps_one_more_of_the_beginning() -> None:
    assert CharacterCodec(CODEC.vocabulary, 3).encode("abcdef") == [2, 3, 7]
    assert CharacterCodec(CODEC.vocabulary, 1).encode("abcdef") == [2]


def test_each_token_of_a_batch_is_spelled_once() -> None:
    spellings = Spellings([["ab", "c", "ab"], ["def"], ["c", "ab"]], CODEC)
    found = spellings.gather([2, 0])
    assert found.forms.tolist() == [[2, 3], [4, 0]]
    assert found.tokens.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert spellings.gather([1]).forms.tolist() == [[5, 6, 7]]


@pytest.fixture
def data(tmp_path: Path) -> TaggingFiles:
    (tmp_path / "train.conll").write_text("bad A\nab B\n\nab B\n\nca A\n")
    (tmp_path / "dev.conll").write_text("bed A\nba B\nab A\n")
    data = TaggingFiles(train="train.conll", validation="dev.conll", root=str(tmp_path), characters=5, batch_size=8)
    data.load()
    return data


def test_words_that_are_unknown_are_spelled_too(data: TaggingFiles) -> None:
    (batch,) = data.batches("validation")
    assert batch.inputs.tolist() == [[1, 1, 2]]
    assert batch.spelling is not None
    letters = data.spec.characters
    assert letters is not None
    assert data.spec.character_size == 4  # c and d are in one training word each
    written = [letters.decode([i for i in batch.spelling.forms[t].tolist() if i]) for t in batch.spelling.tokens[0]]
    assert written == ["b<unk><unk>", "ba", "ab"]


def test_raw_lines_are_spelled_by_a_saved_spec(data: TaggingFiles) -> None:
    spec = spec_from_plain(spec_to_plain(data.spec))
    batch = encode_inputs(spec, ["ab bab", ["aa"]])
    assert batch.spelling is not None
    a, b = spec.characters.encode("ab")
    assert batch.spelling.forms.tolist() == [[a, b, 0], [b, a, b], [a, a, 0]]
    assert batch.spelling.tokens.tolist() == [[0, 1], [2, 0]]


def test_a_chinese_character_is_spelled_by_its_place_in_its_word(tmp_path: Path) -> None:
    pytest.importorskip("jieba")
    (tmp_path / "train.conll").write_text("任 O\n总 B\n经 I\n理 I\n", encoding="utf-8")
    options = {"train": "train.conll", "validation": "train.conll", "root": str(tmp_path), "word_places": True}
    data = TaggingFiles(**options)
    data.load()
    spec = spec_from_plain(spec_to_plain(data.spec))
    codec = spec.characters
    assert isinstance(codec, PlaceCodec)
    assert spec.character_size == 6
    assert codec.written(["总经", "理", "经理"]) == ["B", "E", "S"]
    for batch in (*data.batches("train"), encode_inputs(spec, [list("任总经理")])):
        assert batch.spelling is not None
        forms = batch.spelling.forms[batch.spelling.tokens[0]]
        assert codec.decode(forms[:, 0].tolist()) == "SBME"
    with pytest.raises(ValueError, match="characters=5 and word_places=true exclude each other"):
        TaggingFiles(**options, characters=5)
