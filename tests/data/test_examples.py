from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.examples import ClassificationData, Example, ExampleData, TaggingData, TransductionData
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.splits import evenly
from seqzoo.data.text.codec import LabelCodec, TextCodec, spec_from_plain, spec_to_plain


@dataclass(eq=False, kw_only=True)
class Classes(ClassificationData):
    def read(self) -> dict[str, list[Example]]:
        train = [Example(" ".join(["w"] * (1 + n % 7)), "even" if n % 2 == 0 else "odd", f"f:{n}") for n in range(40)]
        return {"train": train, "validation": train[:5]}


@dataclass(eq=False, kw_only=True)
class Tags(TaggingData):
    def read(self) -> dict[str, list[Example]]:
        train = [Example(["a", "b", "a"], ["X", "Y", "X"]), Example(["b"], ["Y"])]
        return {"train": train, "validation": train, "test": [Example(["c", "b"], ["X", "Y"])]}


@dataclass(eq=False, kw_only=True)
class Pairs(TransductionData):
    def read(self) -> dict[str, list[Example]]:
        return {"train": [Example("a b", "x"), Example("b", "x y x")], "validation": [Example("a", "z")]}


def loaded(data: ExampleData) -> ExampleData:
    data.load()
    return data


def rows(data: ExampleData, split: str, epoch: int = 0, start: int = 0) -> list[list[list[int]]]:
    return [batch.inputs.tolist() for batch in data.batches(split, epoch, start)]


def test_the_share_of_padding() -> None:
    assert loaded(Tags(batch_size=2)).padding_share() == pytest.approx(2 / 6)
    assert loaded(Tags(batch_size=1)).padding_share() == 0


def test_classification_values() -> None:
    data = loaded(Classes(batch_size=8))
    assert data.spec.input_size == 3
    assert data.spec.output_size == 2
    assert data.splits() == {"train": 40, "validation": 5}
    seen = []
    for batch in data.batches("train"):
        assert batch.targets is not None
        assert batch.targets.shape == (batch.size,)
        assert batch.targets.dtype == torch.long
        assert batch.target_lengths is None
        assert ((batch.inputs != 0).sum(1) == batch.lengths).all()
        assert batch.inputs.shape[1] == batch.lengths.max()
        assert batch.padded == bool((batch.lengths < batch.inputs.shape[1]).any())
        seen += list(zip(batch.lengths.tolist(), batch.targets.tolist(), strict=True))
    assert sorted(seen) == sorted((1 + n % 7, n % 2) for n in range(40))


def test_tagging_values() -> None:
    data = loaded(Tags(batch_size=2))
    (batch,) = data.batches("validation")
    order = batch.lengths.argsort(descending=True)
    assert batch.inputs[order].tolist() == [[2, 3, 2], [3, 0, 0]]
    assert batch.targets is not None
    assert batch.targets[order].tolist() == [[0, 1, 0], [1, 0, 0]]
    assert batch.padded
    (test,) = data.batches("test")
    assert test.inputs.tolist() == [[1, 3]]
    assert not test.padded


def test_transduction_targets_end_in_eos_and_do_not_start_with_bos() -> None:
    data = loaded(Pairs(batch_size=2))
    (batch,) = data.batches("train")
    order = batch.lengths.argsort(descending=True)
    assert batch.targets is not None
    assert batch.target_lengths is not None
    assert batch.inputs[order].tolist() == [[3, 2], [2, 0]]
    assert batch.targets[order].tolist() == [[4, 3, 0, 0], [4, 5, 4, 3]]
    assert batch.target_lengths[order].tolist() == [2, 4]
    (validation,) = data.batches("validation")
    assert validation.targets is not None
    assert validation.targets.tolist() == [[1, 3]]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first, again, other = loaded(Classes(batch_size=3, seed=1)), loaded(Classes(batch_size=3, seed=1)), None
    other = loaded(Classes(batch_size=3, seed=2))
    assert rows(first, "train", 1) == rows(again, "train", 1)
    assert rows(first, "train", 0) == rows(again, "train", 0)
    assert rows(first, "train", 0) != rows(first, "train", 1)
    assert rows(first, "train") != rows(other, "train")
    assert rows(first, "validation", 0) == rows(other, "validation", 5)


@pytest.mark.parametrize("max_tokens", [None, 12])
def test_start_leaves_out_the_first_batches(max_tokens: int | None) -> None:
    data = loaded(Classes(batch_size=3, max_tokens=max_tokens))
    whole = rows(data, "train", 4)
    assert len(whole) == data.num_batches("train", 4)
    assert rows(data, "train", 4, start=5) == whole[5:]
    assert rows(data, "train", 4, start=len(whole)) == []


def test_limit_is_spread_over_the_file_and_leaves_the_codecs_alone() -> None:
    data = loaded(Classes(limit=4))
    assert data.splits() == {"train": 4, "validation": 4}
    assert data.spec.output_size == 2
    assert [example.where for example in evenly(Classes().read()["train"], 4)] == ["f:0", "f:10", "f:20", "f:30"]


def test_vocabulary_size_and_frequency() -> None:
    assert loaded(Tags(vocabulary_size=3)).spec.input_size == 3
    assert loaded(Tags(min_frequency=3)).spec.input_size == 2
    assert Tags(vocabulary_size=3).expected_spec() == DataSpec("tagging", 3, 1000)


def test_a_long_example_is_refused_or_cut() -> None:
    with pytest.raises(DataError, match=r"f:5: the source has 6 tokens, more than data.max_length=5: raise it, or set"):
        Classes(max_length=5).load()
    data = loaded(Tags(max_length=2, truncate=True, batch_size=1))
    longest = max(data.batches("train"), key=lambda batch: batch.inputs.shape[1])
    assert longest.inputs.tolist() == [[2, 3]]
    assert longest.targets is not None
    assert longest.targets.tolist() == [[0, 1]]
    assert data.remarks == ["2 of 5 examples were truncated to data.max_length=2 tokens"]


@dataclass(eq=False, kw_only=True)
class Given(ClassificationData):
    def read(self) -> dict[str, list[Example]]:
        return self.examples

    def __post_init__(self) -> None:
        super().__post_init__()
        self.examples: dict[str, list[Example]] = {}


def given(train: list[Example], validation: list[Example]) -> Given:
    data = Given()
    data.examples = {"train": train, "validation": validation}
    return data


def test_what_the_tokenizer_does_not_fit_is_told() -> None:
    data = given([Example("a b", "1"), Example("c d", "2")], [Example("ab", "1"), Example("cd c", "2")])
    assert loaded(data).remarks == [
        "67% of the validation tokens are unknown: is the tokenizer, whitespace, right for these texts?"
    ]
    assert not loaded(Classes()).remarks


def test_a_text_of_which_the_tokenizer_keeps_nothing_is_unknown() -> None:
    spec = DataSpec("classification", 4, 2, TextCodec.learn("basic_english", ["a b"]), LabelCodec("xy"))
    assert encode_inputs(spec, ["a", '":"']).inputs.tolist() == [[2], [1]]
    with pytest.raises(DataError, match="line 1: the source is empty"):
        encode_inputs(spec, [" "])


def test_a_class_that_training_never_saw() -> None:
    train = [Example("a", "1"), Example("b", "3"), Example("c", "3")]
    data = loaded(given(train, [Example("a", "2", "f:4"), Example("b", "2", "f:5"), Example("c", "3", "f:6")]))
    assert data.spec.output_size == 3
    assert data.spec.targets.to_plain()["labels"] == ["1", "2", "3"]
    assert data.spec.class_counts == [1, 0, 2]
    [batch] = data.batches("validation")
    assert sorted(batch.targets.tolist()) == [1, 1, 2]
    assert data.remarks == ["labels that do not occur in training and cannot be predicted: 2 at f:4"]


def test_mistakes_in_examples() -> None:
    good = [Example("a", "yes", "f:1"), Example("b", "no", "f:2")]
    with pytest.raises(DataError, match="f:3: the source is empty"):
        given(good, [Example("  ", "yes", "f:3")]).load()
    with pytest.raises(DataError, match="f:3: the label is empty"):
        given(good, [Example("a", "", "f:3")]).load()
    with pytest.raises(DataError, match="every training example has the label 'yes': give examples of two classes"):
        given(good[:1], good).load()
    with pytest.raises(DataError, match="the validation split of the data has no examples"):
        given(good, []).load()
    with pytest.raises(ValueError, match="batch_size=0 is too small"):
        Classes(batch_size=0)


def test_a_tag_for_every_token() -> None:
    data = Tags()
    data.read = lambda: {  # type: ignore[method-assign]
        "train": [Example(["a"], ["X"])],
        "validation": [Example(["a", "b"], ["X"], "f:9")],
    }
    with pytest.raises(DataError, match="f:9: there are 2 tokens, but 1 tags"):
        data.load()


def test_a_saved_spec_is_kept() -> None:
    spec = spec_from_plain(spec_to_plain(loaded(Tags()).spec))
    data = Tags()
    data.load(spec)
    assert data.spec is spec
    with pytest.raises(DataError, match="saved run is for tagging, this data for classification"):
        Classes().load(spec)
    with pytest.raises(DataError, match="has no vocabularies"):
        Tags().load(DataSpec("tagging", 3, 2))


def test_an_unknown_split() -> None:
    with pytest.raises(DataError, match='no split "test": it has train, validation'):
        loaded(Classes()).num_batches("test")


def test_raw_lines_become_a_batch_in_their_order() -> None:
    spec = loaded(Tags()).spec
    batch = encode_inputs(spec, ["b", "a b zzz"])
    assert batch.inputs.tolist() == [[3, 0, 0], [2, 3, 1]]
    assert batch.lengths.tolist() == [1, 3]
    assert batch.targets is None
    assert batch.padded
    assert not encode_inputs(spec, [["a"], ["b"]]).padded
    with pytest.raises(DataError, match="line 2: the source is empty"):
        encode_inputs(spec, ["a", " "])
    with pytest.raises(DataError, match="line 1: the source has 2 tokens"):
        encode_inputs(spec, ["a b"], max_length=1)
    assert encode_inputs(spec, ["a b"], max_length=1, truncate=True).inputs.tolist() == [[2]]
    with pytest.raises(DataError, match="the input is empty"):
        encode_inputs(spec, [])


@pytest.mark.parametrize("label", ["nan", "-inf"])
def test_a_label_that_is_not_a_number_among_numbers(label: str) -> None:
    examples = [Example("a", "1", "f:1"), Example("b", label, "f:2")]
    with pytest.raises(DataError, match=f"f:2: the label is {label}, but all others are finite numbers"):
        Classes().target_codec(examples)
    words = [*examples, Example("c", "eng", "f:3")]  # of languages, nan is one
    assert Classes().target_codec(words).labels == sorted(["1", label, "eng"])
