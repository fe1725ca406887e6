from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError, not_installed
from seqzoo.data.files.classification_files import ClassificationFiles
from seqzoo.data.files.parallel_files import ParallelFiles
from seqzoo.data.files.tagging_files import TaggingFiles
from seqzoo.data.files.text_files import TextFiles
from seqzoo.data.text.codec import TextCodec, codec_from_plain
from seqzoo.data.text.subwords import SUBWORDS, BytePairs, Unigram
from seqzoo.data.text.vocabulary import EOS, TARGET_SPECIALS

TEXTS = ["A dog, a (big) dog.", "Ein Hund läuft; kein Hund schläft!"] * 3


def test_byte_pairs_are_learned_by_merging_the_most_frequent_pair() -> None:
    """The example of Sennrich et al. 2016: newest and widest have es 9 times, and est; then low has lo 7 times."""
    texts = ["low"] * 5 + ["lower"] * 2 + ["newest"] * 6 + ["widest"] * 3
    characters = 11  # with the mark of a beginning
    tokenizer, pieces = BytePairs.learn(texts, characters + 4)
    assert tokenizer.learned == [["e", "s"], ["es", "t"], ["l", "o"], ["▁", "lo"]]
    assert len(pieces) == characters + 4
    assert tokenizer.split("lowest") == ["▁lo", "w", "est"]


def test_a_unigram_model_cuts_as_sentencepiece_does() -> None:
    """The pieces of a word with the greatest product of probabilities, found here by trying all ways."""
    tokenizer, pieces = Unigram.learn(TEXTS, 40)
    score = dict(zip(pieces, tokenizer.learned, strict=True))

    def ways(word: str) -> list[list[str]]:
        if not word:
            return [[]]
        ends = (end for end in range(1, len(word) + 1) if word[:end] in score)
        return [[word[:end], *rest] for end in ends for rest in ways(word[end:])]

    for word in ("dog", "dogd", "Hund", "läuft;"):
        best = max(ways("▁" + word), key=lambda way: sum(score[piece] for piece in way))
        assert tokenizer.split(word) == best


@pytest.mark.parametrize("name", SUBWORDS)
def test_subwords_lose_nothing_but_characters_they_have_never_seen(name: str) -> None:
    codec = TextCodec.learn(name, TEXTS, TARGET_SPECIALS, max_size=100)
    for text in [*TEXTS, " a  dog ", "dog dog\tdog"[:7]]:
        assert codec.decode(codec.encode(text)) == text
    assert "▁dog" in codec.split(TEXTS[0])
    assert codec.encode("dog 犬")[-1] == codec.vocabulary.ids["<unk>"]


@pytest.mark.parametrize("name", SUBWORDS)
def test_what_no_piece_has_stays_as_it_was_written(name: str) -> None:
    codec = TextCodec.learn(name, TEXTS, TARGET_SPECIALS, max_size=100)
    text = "dog 犬 dégo 猫犬, 犬"
    tokens = codec.split(text)
    assert codec.join(tokens) == text
    assert [token for token, i in zip(tokens, codec.encode(text), strict=True) if i == 1] == [
        token for token in tokens if set(token) & set("犬猫é")
    ]


@pytest.mark.parametrize("name", SUBWORDS)
def test_subwords_cut_alike_after_a_round_through_json(name: str) -> None:
    codec = TextCodec.learn(name, TEXTS, TARGET_SPECIALS, max_size=100).with_words(["zebra"])
    again = codec_from_plain(json.loads(json.dumps(codec.to_plain())))
    assert codec.size <= 101
    assert codec.vocabulary.tokens[:4] == list(TARGET_SPECIALS)
    for text in ("A big Hund", "a cold dog"):
        assert again.encode(text) == codec.encode(text)
        assert again.decode([2, *codec.encode(text), 3, 0]) == codec.decode(codec.encode(text))


@pytest.mark.parametrize("name", SUBWORDS)
def test_the_same_texts_give_the_same_subwords(name: str) -> None:
    first, second = (TextCodec.learn(name, TEXTS, max_size=100).to_plain() for _ in range(2))
    assert first == second


def test_what_older_runs_have_saved_can_be_read() -> None:
    plain = TextCodec.learn("bpe", TEXTS, max_size=100).to_plain()
    assert codec_from_plain({**plain, "tokenizer": "subwords"}).to_plain() == plain
    lines = TextCodec.learn("lines:whitespace", ["a b\nc\n"])
    again = codec_from_plain({**lines.to_plain(), "tokenizer": "lines"})
    assert again.decode(again.encode("a b\nc\n")) == "a b\nc\n"


@pytest.mark.parametrize("name", SUBWORDS)
def test_subwords_without_the_library_say_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(DataError, match=re.escape(not_installed("tokenizers"))):
        SUBWORDS[name].learn(TEXTS, 40)


def test_a_unigram_model_of_too_little() -> None:
    with pytest.raises(DataError, match=r"no unigram model of 100 pieces can be learned .*: give more text"):
        Unigram.learn([], 100)


def test_subwords_of_tokens(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="subwords are learned from text, but this data is tokenized already"):
        TextCodec.learn("bpe", [["a", "b"]], max_size=100)
    with pytest.raises(ValueError, match="tokenizer=bpe splits words, but tags belong to whole words"):
        TaggingFiles(train=str(tmp_path / "a"), tokenizer="bpe", vocabulary_size=100)


def pairs(folder: Path, **options: object) -> ParallelFiles:
    (folder / "de").write_text("Anna liest\nAnna rennt\n" * 4, encoding="utf-8")
    (folder / "en").write_text("Anna reads\nAnna runs\n" * 4, encoding="utf-8")
    source, target = str(folder / "de"), str(folder / "en")
    data = ParallelFiles(train_source=source, train_target=target, validation_fraction=0.5, **options)
    data.load()
    return data


def test_both_sides_of_a_pair_may_learn_their_subwords_together(tmp_path: Path) -> None:
    cut = {"source_tokenizer": "bpe", "target_tokenizer": "bpe", "vocabulary_size": 100}
    apart, together = pairs(tmp_path, **cut).spec, pairs(tmp_path, **cut, shared_subwords=True).spec
    assert apart.inputs.tokenizer.merges != apart.targets.tokenizer.merges
    assert together.inputs.tokenizer.merges == together.targets.tokenizer.merges
    assert together.inputs.vocabulary.tokens[2:] == together.targets.vocabulary.tokens[4:]
    assert apart.targets.decode(apart.targets.encode("Anna reads")) == "Anna reads"


def test_one_side_alone_may_be_cut_into_subwords(tmp_path: Path) -> None:
    spec = pairs(tmp_path, target_tokenizer="bpe", vocabulary_size=100).spec
    assert spec.inputs.split("Anna liest") == ["Anna", "liest"]
    assert spec.targets.split("Anna runs")[0] == "▁Anna"


@pytest.mark.parametrize("name", SUBWORDS)
def test_running_text_in_subwords_keeps_its_lines(name: str, tmp_path: Path) -> None:
    text = "\n".join(TEXTS) + "\n"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    path = str(tmp_path / "a.txt")
    data = TextFiles(train=path, validation=path, tokenizer=name, vocabulary_size=100, batch_size=1, window=500)
    data.load()
    codec = data.spec.inputs
    assert codec.split("a\n") == [*codec.split("a"), EOS]
    (batch,) = data.batches("train")
    assert codec.decode(batch.inputs[0].tolist()) + "\n" == text


def test_subwords_need_a_number(tmp_path: Path) -> None:
    message = "vocabulary_size is null: subwords need at least 100, such as 8000"
    with pytest.raises(ValueError, match=message):
        pairs(tmp_path, source_tokenizer="bpe")
    for kind in (ClassificationFiles, TextFiles):
        with pytest.raises(ValueError, match=message):
            kind(train="a", tokenizer="unigram")
