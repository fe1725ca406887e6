from __future__ import annotations

import json

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import LabelCodec, TextCodec, codec_from_plain, spec_from_plain, spec_to_plain
from seqzoo.data.text.subwords import SUBWORDS
from seqzoo.data.text.tokenizing import TOKENIZERS
from seqzoo.data.text.vocabulary import SOURCE_SPECIALS, TARGET_SPECIALS


def test_text_and_tokens_encode_alike_and_decode_skips_special_tokens() -> None:
    codec = TextCodec.learn("whitespace", [["the", "cat"], ["the"]], TARGET_SPECIALS)
    assert codec.encode("the dog") == codec.encode(["the", "dog"]) == [4, 1]
    assert (codec.bos, codec.eos, codec.size) == (2, 3, 6)
    assert codec.decode([2, 4, 5, 1, 3, 0, 0]) == "the cat <unk>"


def test_reversed_text_decodes_to_what_a_person_wrote() -> None:
    codec = TextCodec.learn("reversed:characters", [list("12+")])
    assert codec.bos is None
    assert codec.decode(codec.encode("1+2")) == "1+2"
    assert codec.encode("1+2") == codec.encode(["2", "+", "1"])
    older = codec_from_plain({**codec.to_plain(), "tokenizer": "reversed_characters"})
    assert older.encode("1+2") == codec.encode("1+2")


def test_a_line_end_of_running_text_is_written_out() -> None:
    codec = TextCodec.learn("lines:whitespace", [["a", "<eos>", "b"]])
    assert codec.decode(codec.encode("a b\na")) == "a b\na"
    assert codec.eos == codec.vocabulary.ids["<eos>"]


TEXT = "the <pad> <bos> zebra <eos> <unk> <eos>x a<eos> <EOS> end"


@pytest.mark.parametrize("specials", [SOURCE_SPECIALS, TARGET_SPECIALS])
@pytest.mark.parametrize("name", [*TOKENIZERS, *SUBWORDS, "reversed:whitespace", "reversed:unigram"])
def test_no_text_reaches_a_special_id(name: str, specials: tuple[str, ...]) -> None:
    """Neither in a vocabulary that knows such words nor in one that does not; nor once the codec is read again."""
    if name == "chinese_words":
        pytest.importorskip("jieba")
    for texts in ([TEXT] * 5, ["the end", "a zebra; x"] * 20):
        codec = TextCodec.learn(name, texts, specials, max_size=100 if name.endswith(tuple(SUBWORDS)) else None)
        assert codec.vocabulary.tokens[: len(specials)] == list(specials)
        for one in (codec, codec_from_plain(json.loads(json.dumps(codec.to_plain())))):
            reserved = {i for i, token in enumerate(specials) if token != "<unk>"}
            for text in (TEXT, one.split(TEXT), ["<eos>", "<bos>", "<pad>"]):
                assert not reserved & set(one.encode(text))
            assert one.encode(TEXT) == codec.encode(TEXT)


@pytest.mark.parametrize("name", ["lines:whitespace", "lines:basic_english", "lines:unigram", "lines:bpe"])
def test_only_line_ends_are_line_ends(name: str) -> None:
    text = f"{TEXT}\n<eos>\n\nthe <eos>"
    codec = TextCodec.learn(name, [text] * 5, max_size=100)
    for one in (codec, codec_from_plain(json.loads(json.dumps(codec.to_plain())))):
        ids = one.encode(text)
        assert ids.count(one.eos) == 3
        assert ids == codec.encode(text)
        assert one.decode(ids).count("\n") == 3


def test_a_word_that_is_special_elsewhere_is_a_word() -> None:
    """In a source, `<bos>` and `<eos>` mean nothing, even where they are the most frequent words."""
    codec = TextCodec.learn("whitespace", ["<bos> a <eos>", "<bos> <eos>"])
    for one in (codec, codec_from_plain(codec.to_plain())):
        assert one.encode("<bos> a <eos> <pad>") == [2, 4, 3, 1]
        assert one.decode([2, 4, 3]) == "<bos> a <eos>"
        assert (one.bos, one.eos) == (None, None)


def test_codecs_of_older_runs_know_their_special_tokens() -> None:
    for codec in (
        TextCodec.learn("whitespace", ["a"], TARGET_SPECIALS),
        TextCodec.learn("lines:whitespace", ["<bos>\n<bos> b\n"]),  # line ends have the id 3
        TextCodec.learn("whitespace", ["a"], (*SOURCE_SPECIALS, "___")),
    ):
        plain = codec.to_plain()
        del plain["specials"]
        again = codec_from_plain(plain)
        assert again.to_plain() == codec.to_plain()
        assert (again.bos, again.eos) == (codec.bos, codec.eos)
        assert again.encode("<bos> ___\n<eos>") == codec.encode("<bos> ___\n<eos>")


def test_labels() -> None:
    codec = LabelCodec(["ADJ", "NOUN", "VERB"])
    assert codec.encode("NOUN") == [1]
    assert codec.encode(["VERB", "ADJ"]) == [2, 0]
    assert codec.tokens([2, 0]) == ["VERB", "ADJ"]
    assert codec.decode([2, 0]) == "VERB ADJ"
    with pytest.raises(DataError, match=r"label 'NOUNS' does not occur in training. Did you mean 'NOUN'"):
        codec.encode("NOUNS")


@pytest.mark.parametrize(
    "codec",
    [
        TextCodec.learn("words", [["a", "é"]]),
        TextCodec.learn("bpe", ["old dogs, old cats"], TARGET_SPECIALS, max_size=100),
        LabelCodec(["x", "y"]),
    ],
)
def test_a_codec_survives_json(codec: TextCodec | LabelCodec) -> None:
    again = codec_from_plain(json.loads(json.dumps(codec.to_plain())))
    assert type(again) is type(codec)
    assert again.to_plain() == codec.to_plain()
    assert again.size == codec.size


def test_a_spec_survives_json() -> None:
    spec = DataSpec("tagging", 3, 2, TextCodec.learn("words", [["a"]]), LabelCodec(["x", "y"]))
    plain = spec_to_plain(spec)
    again = spec_from_plain(json.loads(json.dumps(plain)))
    assert spec_to_plain(again) == plain
    assert (again.kind, again.input_size, again.output_size) == ("tagging", 3, 2)
    assert spec_from_plain(spec_to_plain(DataSpec("tagging", 3, 2))) == DataSpec("tagging", 3, 2)


def test_an_unknown_kind_of_codec() -> None:
    with pytest.raises(DataError, match="no kind of codec 'txt'"):
        codec_from_plain({"kind": "txt"})


SPEC = {
    "task": "tagging", "input_size": 3, "output_size": 2,
    "inputs": {"kind": "text", "tokenizer": "whitespace", "tokens": ["<pad>", "<unk>", "a"]},
    "targets": {"kind": "labels", "labels": ["x", "y"]},
}  # fmt: skip


@pytest.mark.parametrize(
    "damage",
    [
        {"input_size": 4}, {"input_size": "3"}, {"input_size": 10**12, "inputs": None}, {"output_size": 1},
        {"output_size": -1, "targets": None}, {"inputs": [1]}, {"targets": {"kind": "labels", "labels": "xy"}},
        {"targets": {"kind": "labels", "labels": ["x", 1]}}, {"targets": {"kind": "labels", "labels": ["x", "x"]}},
        {"inputs": {"kind": "text", "tokenizer": 1, "tokens": ["<pad>", "<unk>", "a"]}}, {"picture": [1, 2]},
        {"targets": {"kind": "labels", "labels": ["x", "y"], "scheme": "z"}}, {"vectors": {"words": "a"}},
        {"class_counts": [1, "a"]}, {"per_step": "no"},
        {"text_size": -1}, {"text_size": "1"},
        {"characters": {"kind": "characters", "tokens": [], "limit": -1}},
    ],
    ids=str,
)  # fmt: skip
def test_a_saved_spec_is_looked_at(damage: dict) -> None:
    assert spec_from_plain(SPEC).inputs.vocabulary.tokens[2] == "a"
    with pytest.raises(DataError):
        spec_from_plain({**SPEC, **damage})
