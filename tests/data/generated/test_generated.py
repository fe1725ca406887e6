from __future__ import annotations

import statistics
from collections import Counter

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.data.generated.addition import Addition
from seqzoo.data.generated.copying import Copying
from seqzoo.data.generated.english import BAD, GOOD, LIKING, LOATHING, English
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.generated.grammar import GrammarSentiment, GrammarTags, GrammarText

SMALL = {"train_size": 2000, "validation_size": 300, "test_size": 300}


def texts(examples: list) -> list[str]:
    return [example.source if isinstance(example.source, str) else " ".join(example.source) for example in examples]


@pytest.mark.parametrize("digits", [2, 3, 5])
def test_addition_is_right_and_no_pair_occurs_twice(digits: int) -> None:
    sizes = {"train_size": 500, "validation_size": 100, "test_size": 100}
    splits = Addition(digits=digits, **sizes).read()
    assert {split: len(found) for split, found in splits.items()} == {"train": 500, "validation": 100, "test": 100}
    pairs = []
    for example in [example for found in splits.values() for example in found]:
        a, b = map(int, example.source.split("+"))
        assert example.target == str(a + b)
        assert max(len(number) for number in example.source.split("+")) <= digits
        pairs.append(frozenset((a, b)))
    assert len(set(pairs)) == 700
    assert splits == Addition(digits=digits, seed=5, **sizes).read()


def test_addition_uses_all_counts_of_digits_and_both_orders() -> None:
    pairs = [example.source.split("+") for example in Addition(**SMALL).read()["train"]]
    counts = Counter(len(number) for pair in pairs for number in pair)
    assert set(counts) == {1, 2, 3}
    larger_first = sum(int(a) > int(b) for a, b in pairs)
    assert 0.4 < larger_first / len(pairs) < 0.6


@pytest.mark.parametrize("reverse", [True, False])
def test_addition_reads_the_question_from_its_end(reverse: bool) -> None:
    data = Addition(reverse=reverse, batch_size=4, **SMALL)
    data.load()
    batch = next(data.batches("train"))
    inputs, targets = data.spec.inputs, data.spec.targets
    row = batch.inputs[0, : batch.lengths[0]].tolist()
    question = inputs.decode(row)
    tokens = "".join(inputs.vocabulary.decode(row))  # type: ignore[union-attr]
    assert tokens == (question[::-1] if reverse else question)
    assert batch.targets is not None
    assert int(targets.decode(batch.targets[0].tolist())) == sum(map(int, question.split("+")))
    assert (data.spec.input_size, data.spec.output_size) == (13, 14)
    assert data.expected_spec().input_size == 13


def test_too_many_sums() -> None:
    with pytest.raises(DataError, match=r"there are only 55 different examples where 200 are needed: lower"):
        Addition(digits=1, train_size=100, validation_size=50, test_size=50).load()
    with pytest.raises(ValueError, match="train_size=0 must be between 1 and"):
        Addition(train_size=0)
    with pytest.raises(ValueError, match="digits=0"):
        Addition(digits=0)


@pytest.mark.parametrize("reverse", [True, False])
def test_copying(reverse: bool) -> None:
    data = Copying(reverse=reverse, shortest=2, longest=6, alphabet_size=5, **SMALL)
    examples = [example for found in data.read().values() for example in found]
    assert len({example.source for example in examples}) == 2600
    assert {len(example.source) for example in examples} == {2, 3, 4, 5, 6}
    assert all(example.target == (example.source[::-1] if reverse else example.source) for example in examples)
    assert {letter for example in examples for letter in example.source} == set("abcde")
    data.load()
    assert (data.spec.input_size, data.spec.output_size) == (7, 9)
    assert data.expected_spec().output_size == 9
    with pytest.raises(ValueError, match="shortest=3 must be between 1 and longest=2"):
        Copying(shortest=3, longest=2)
    with pytest.raises(ValueError, match="alphabet_size=99"):
        Copying(alphabet_size=99)


def test_held_out_strings_may_be_longer() -> None:
    found = Copying(shortest=2, longest=6, held_out_length=12, **SMALL).read()
    assert {len(example.source) for example in found["train"]} == {2, 3, 4, 5, 6}
    assert {len(example.source) for split in ("validation", "test") for example in found[split]} == {12}
    assert not {e.source for e in found["validation"]} & {e.source for e in found["test"]}


def test_held_out_strings_of_a_training_length_are_not_those_of_training() -> None:
    splits = Copying(longest=2, held_out_length=2, train_size=400, validation_size=100, test_size=100).read()
    sources = {split: {example.source for example in found} for split, found in splits.items()}
    assert not sources["train"] & (sources["validation"] | sources["test"])
    assert 0 < len(sources["validation"]) < 100, "some strings had to be left out"


def test_splits_are_alike_although_likely_examples_are_found_first() -> None:
    splits = distinct_splits(lambda count, seed: list(range(count)), {"train": 300, "validation": 300})
    assert abs(statistics.fmean(splits["train"]) - statistics.fmean(splits["validation"])) < 50
    assert sorted(splits["train"] + splits["validation"]) == list(range(600))


@pytest.mark.parametrize("constructor", [GrammarTags, GrammarSentiment])
def test_grammar_splits_are_disjoint_and_the_same_for_every_seed(constructor: type) -> None:
    splits = constructor(**SMALL).read()
    assert {split: len(found) for split, found in splits.items()} == {"train": 2000, "validation": 300, "test": 300}
    assert len({text for found in splits.values() for text in texts(found)}) == 2600
    assert splits == constructor(seed=9, **SMALL).read()
    data = constructor(**SMALL)
    data.load()
    assert data.spec.input_size <= data.expected_spec().input_size
    assert data.spec.output_size <= data.expected_spec().output_size


def test_tags_need_their_neighbours() -> None:
    tags: dict[str, Counter[str]] = {}
    for example in GrammarTags(**SMALL).read()["train"]:
        assert len(example.source) == len(example.target)
        for word, tag in zip(example.source, example.target, strict=True):
            tags.setdefault(word, Counter())[tag] += 1
    assert set(tags["can"]) == {"AUX", "NOUN"}
    assert set(tags["light"]) == {"NOUN", "VERB", "ADJ"}
    assert set(tags["that"]) == {"DET", "SCONJ", "PRON"}
    assert set(tags["to"]) == {"PART", "ADP"}
    best = sum(max(counts.values()) for counts in tags.values()) / sum(sum(counts.values()) for counts in tags.values())
    assert best < 0.95


def test_sentiment_is_balanced_and_words_alone_do_not_tell_it() -> None:
    examples = GrammarSentiment(**SMALL).read()["train"]
    assert 0.45 < sum(example.target == "positive" for example in examples) / len(examples) < 0.55
    liked = {*GOOD, *LIKING}
    loathed = {*BAD, *LOATHING}
    right = 0
    for example in examples:
        score = sum(word in liked for word in example.source) - sum(word in loathed for word in example.source)
        right += (score > 0) == (example.target == "positive")
    assert right / len(examples) < 0.75


def test_sentiment_follows_negation_and_contrast() -> None:
    english = English(seed=0)
    for _ in range(500):
        words, sentiment = (sentence := english.opinion()).words, sentence.sentiment
        if any(word in words for word in ("although", "while", "though", "but", "yet", "and")):
            continue
        opinion = [word for word in words if word in GOOD + BAD + LIKING + LOATHING]
        good = opinion[0] in GOOD + LIKING
        assert sentiment == ("positive" if good != ("not" in words) else "negative")


@pytest.mark.parametrize("tokenizer", ["whitespace", "characters"])
def test_grammar_text(tokenizer: str) -> None:
    data = GrammarText(tokenizer=tokenizer, **SMALL)  # type: ignore[arg-type]
    splits = data.read()
    lines = {split: "".join(text).removesuffix("\n").split("\n") for split, text in splits.items()}
    assert {split: len(found) for split, found in lines.items()} == {"train": 2000, "validation": 300, "test": 300}
    assert len({line for found in lines.values() for line in found}) == 2600
    data.load()
    batch = next(data.batches("train"))
    text = data.spec.inputs.decode(batch.inputs[0].tolist())
    assert "".join(splits["train"]).startswith(text.rstrip("\n"))
