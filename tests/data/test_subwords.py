from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from seqzoo.data import ParallelFiles
from seqzoo.data.codec import TextCodec, codec_from_plain
from seqzoo.data.tokenizing import Subwords, get_tokenizer
from seqzoo.data.vocabulary import TARGET_SPECIALS
from seqzoo.errors import DataError


def test_subwords_are_learned_by_merging_the_most_frequent_pair() -> None:
    """The example of Sennrich et al. 2016: newest and widest have es 9 times, and est; then low has lo 7 times."""
    texts = ["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3
    characters = 11  # with the mark of a beginning
    tokenizer, pieces = Subwords.learn(texts, characters + 4)
    assert tokenizer.merges == [("e", "s"), ("es", "t"), ("l", "o"), ("▁", "lo")]
    assert len(pieces) == characters + 4
    assert tokenizer.split("lowest") == ["▁lo", "w", "est"]


def test_subwords_lose_nothing_but_characters_they_have_never_seen() -> None:
    texts = ["A dog, a (big) dog.", "Ein Hund läuft; kein Hund schläft!"]
    tokenizer, _ = Subwords.learn(texts, 60)
    for text in texts:
        assert tokenizer.join(tokenizer.split(text)) == text
    assert "▁dog" in tokenizer.split(texts[0])
    assert tokenizer.split("dog 犬")[-1] == "<unk>"


def test_subwords_without_the_library_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(DataError, match=r'pip install "seqzoo\[text\]"'):
        Subwords.learn(["a"], 10)


def test_subwords_of_other_data() -> None:
    with pytest.raises(DataError, match="Subwords are learned from pairs of texts only"):
        get_tokenizer("subwords")


def test_subwords_cut_alike_after_a_round_through_json() -> None:
    codec = TextCodec.from_subwords(["old dogs, old cats"], TARGET_SPECIALS, size=24)
    again = codec_from_plain(json.loads(json.dumps(codec.to_plain())))
    assert codec.size <= 24
    assert codec.vocabulary.tokens[:4] == list(TARGET_SPECIALS)
    for text in ("old cats", "a cold dog"):
        assert again.encode(text) == codec.encode(text)
        assert codec.decode([2, *codec.encode(text), 3, 0]) == text


def pairs(folder: Path, **options: object) -> ParallelFiles:
    (folder / "de").write_text("Anna liest\nAnna rennt\n" * 4, encoding="utf-8")
    (folder / "en").write_text("Anna reads\nAnna runs\n" * 4, encoding="utf-8")
    source, target = str(folder / "de"), str(folder / "en")
    data = ParallelFiles(train_source=source, train_target=target, validation_fraction=0.5, **options)
    data.load()
    return data


def test_both_sides_of_a_pair_may_learn_their_subwords_together(tmp_path: Path) -> None:
    cut = {"source_tokenizer": "subwords", "target_tokenizer": "subwords", "vocabulary_size": 100}
    apart, together = pairs(tmp_path, **cut).spec, pairs(tmp_path, **cut, shared_subwords=True).spec
    assert apart.inputs.tokenizer.merges != apart.targets.tokenizer.merges
    assert together.inputs.tokenizer.merges == together.targets.tokenizer.merges
    assert together.inputs.vocabulary.tokens[2:] == together.targets.vocabulary.tokens[4:]
    assert apart.targets.decode(apart.targets.encode("Anna reads")) == "Anna reads"


def test_one_side_alone_may_be_cut_into_subwords(tmp_path: Path) -> None:
    spec = pairs(tmp_path, target_tokenizer="subwords", vocabulary_size=100).spec
    assert spec.inputs.split("Anna liest") == ["Anna", "liest"]
    assert spec.targets.split("Anna runs")[0] == "▁Anna"


def test_subwords_need_a_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vocabulary_size is None: subwords need at least 100, such as 8000"):
        pairs(tmp_path, source_tokenizer="subwords")
