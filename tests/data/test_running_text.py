from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch

from seqzoo import compose
from seqzoo.baselines.kneser_ney import sequences
from seqzoo.configuration.building import build_model
from seqzoo.contracts.batch import BEFORE, Batch
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import TrainingText
from seqzoo.data.running_text import RunningText
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain


@dataclass(eq=False, kw_only=True)
class Alphabet(RunningText):
    text: str = "abcdefghijklmnopqrstuvwxyz"

    def read(self) -> dict[str, list[str]]:
        return {"train": [self.text], "validation": [self.text[:9]]}


def loaded(**options: object) -> Alphabet:
    data = Alphabet(**options)  # type: ignore[arg-type]
    data.load()
    return data


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7, 24, 25])
@pytest.mark.parametrize("window", [1, 3, 5, 100])
def test_rows_continue_and_every_target_counts_once(batch_size: int, window: int) -> None:
    data = loaded(batch_size=batch_size, window=window, evaluation_batch_size=1)
    inputs, targets = [""] * batch_size, [""] * batch_size
    batches = list(data.batches("train"))
    assert len(batches) == data.num_batches("train")
    for number, batch in enumerate(batches):
        assert batch.size == batch_size
        assert (batch.lengths >= 1).all()
        assert batch.padded == bool((batch.lengths < batch.inputs.shape[1]).any())
        if number < len(batches) - 1:
            assert not batch.padded
            assert batch.inputs.shape[1] == window
        assert batch.targets is not None
        for row, length in enumerate(batch.lengths.tolist()):
            inputs[row] += data.spec.inputs.decode(batch.inputs[row, :length].tolist())
            targets[row] += data.spec.targets.decode(batch.targets[row, :length].tolist())
    assert "".join(inputs) == data.text[:-1]
    assert "".join(targets) == data.text[1:]
    assert data.splits()["train"] == 25


def test_values_of_one_window() -> None:
    batch = next(loaded(batch_size=5, window=4, evaluation_batch_size=2).batches("train"))
    assert batch.inputs[1].tolist() == [7, 8, 9, 10]  # f g h i after <pad> <unk> a b c d e
    assert batch.targets is not None
    assert batch.targets[1].tolist() == [8, 9, 10, 11]


def test_a_word_eos_ends_no_line() -> None:
    data = loaded(text="a <eos> b\n<eos> <pad>\n" * 9, tokenizer="whitespace", batch_size=1, evaluation_batch_size=1)
    [batch] = data.batches("train")
    assert "".join(data.spec.inputs.decode([i]) + " " for i in batch.inputs[0, :7].tolist()) == (
        "a <unk> b \n <unk> <unk> \n "
    )
    for separator in ("<eos>", "\n"):
        other = loaded(
            text=data.text, tokenizer="whitespace", batch_size=1, evaluation_batch_size=1, document_separator=separator
        )
        assert next(other.batches("train")).size == 18  # each line but the last end is a document


def test_start_leaves_out_windows() -> None:
    data = loaded(batch_size=2, window=3, evaluation_batch_size=1)
    whole = list(data.batches("train", epoch=3))
    rest = list(data.batches("train", start=2))
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(whole[2:], rest, strict=True))


def test_words_have_a_token_for_each_line_end() -> None:
    data = loaded(text="a b\nb c\n" * 4, tokenizer="whitespace", batch_size=2, evaluation_batch_size=1, window=50)
    assert data.spec.inputs.to_plain()["tokens"] == ["<pad>", "<unk>", "<eos>", "b", "a", "c"]
    assert data.splits()["train"] == 23
    batch = next(data.batches("train"))
    assert batch.inputs[0, :6].tolist() == [4, 3, 2, 3, 5, 2]


def test_random_windows_differ_by_epoch_and_cover_the_text() -> None:
    data = loaded(
        text="abcdefghijklmnopqrstuvwxyz" * 40, batch_size=3, window=20, random_windows=True, evaluation_batch_size=2
    )
    widths = []
    for epoch in range(2):
        batches = list(data.batches("train", epoch))
        assert len(batches) == data.num_batches("train", epoch)
        widths.append([batch.inputs.shape[1] for batch in batches])
        for row in range(3):
            read = torch.cat([batch.inputs[row, : batch.lengths[row]] for batch in batches])
            streams = data._streams["train"]
            assert torch.equal(read, streams.ids[streams.starts[row] :][: streams.lengths[row]])
        assert [batch.learning_rate_scale for batch in batches[:-1]] == [width / 20 for width in widths[-1][:-1]]
        later = list(data.batches("train", epoch, start=2))
        assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(batches[2:], later, strict=True))
    assert widths[0] != widths[1]
    assert 5 <= min(widths[0]) < max(widths[0])
    assert {batch.learning_rate_scale for batch in data.batches("validation")} == {1.0}


def test_documents_are_read_from_their_own_beginnings() -> None:
    """Each piece goes on from where its document was cut, and each document begins in the zero state."""
    text = "|abcdefghij|kl|m||nopqrstuvwxyzabcde|fg" * 3
    data = loaded(text=text, batch_size=3, window=5, document_separator="|", evaluation_batch_size=1)
    torch.manual_seed(0)
    model = build_model(compose("task=language_modeling", "cell=lstm", "backbone.hidden_size=8"), data.spec)
    found, state = {}, None
    plain = loaded(text=text, batch_size=3, window=5, evaluation_batch_size=1)
    for number, (batch, whole) in enumerate(zip(data.batches("train"), plain.batches("train"), strict=True)):
        features = model.encode(batch, state)
        state = features.state
        real = torch.arange(batch.inputs.shape[1]) < batch.lengths[:, None]
        real_of_whole = torch.arange(whole.inputs.shape[1]) < whole.lengths[:, None]
        assert torch.equal(batch.inputs[real], whole.inputs[real_of_whole])
        assert torch.equal(batch.targets[real], whole.targets[real_of_whole])
        found[number] = features.outputs[real].split(whole.lengths.tolist())
        later = next(data.batches("train", start=number))
        assert torch.equal(later.continues, batch.continues)
    streams = data._streams["train"]
    for row in range(3):
        ids = streams.ids[streams.starts[row] :][: streams.lengths[row]]
        ours = torch.cat([outputs[row] for outputs in found.values()])
        begins = [0, *(place for place in range(1, len(ids)) if ids[place] == data._separator), len(ids)]
        for begin, end in pairwise(begins):
            alone = Batch(ids[None, begin:end], torch.tensor([end - begin]), padded=False)
            torch.testing.assert_close(ours[begin:end], model.encode(alone).outputs[0])


@pytest.mark.parametrize("separator", [None, "|"])
def test_the_training_text_and_the_steps_before_a_window(separator: str | None) -> None:
    """Those of the sequences that baselines read."""
    text = "|abcdefghij|kl|m||nopqrstuvwxyzabcde|fg" * 3
    data = loaded(text=text, batch_size=3, window=5, document_separator=separator, evaluation_batch_size=1)
    batches = list(data.batches("train"))
    whole = [sequence.tolist() for sequence in sequences(batches)]
    counted = data.spec.text
    assert counted is not None
    assert counted.ids is not None
    assert counted.starts is not None
    of_documents = counted.ids[:-1] == (-1 if counted.separator is None else counted.separator)
    breaks = {*counted.starts.tolist(), *of_documents.nonzero()[:, 0].tolist()}
    starts = [*sorted(breaks), counted.size - 1]
    assert sorted(counted.ids[a : b + 1].tolist() for a, b in pairwise(starts)) == sorted(whole)
    growing: list[list[int]] = []
    for batch in batches:
        continues = range(batch.size) if batch.continues is None else batch.continues.tolist()
        read = [growing[row] if growing and row >= 0 else [] for row in continues]
        assert batch.before is not None
        assert batch.before.tolist() == [[*[-1] * BEFORE, *ids][-BEFORE:] for ids in read]
        inputs = zip(batch.inputs.tolist(), batch.lengths.tolist(), strict=True)
        growing = [[*ids, *row[:length]] for ids, (row, length) in zip(read, inputs, strict=True)]


def test_a_finished_run_knows_the_size_of_its_text() -> None:
    data, other = (
        loaded(batch_size=3, evaluation_batch_size=2),
        loaded(text="abcabc", batch_size=3, evaluation_batch_size=2),
    )
    saved = spec_from_plain(spec_to_plain(data.spec))
    assert saved.text == TrainingText(26)
    data.load(saved)
    assert data.spec.text is not None
    assert data.spec.text.ids is not None
    other.load(saved)
    assert other.spec.text == TrainingText(26), "the text has changed: the weights have the one that was counted"
    older = {name: value for name, value in spec_to_plain(data.spec).items() if name != "text_size"}
    assert spec_from_plain(older).text is None


def test_a_separator_that_is_no_token() -> None:
    with pytest.raises(DataError, match=r"data.document_separator is '\|\|', which is not one token"):
        loaded(document_separator="||", batch_size=2, evaluation_batch_size=1)


def test_limit_and_saved_spec() -> None:
    data = loaded(batch_size=2, limit=8, evaluation_batch_size=1)
    assert data.splits() == {"train": 7, "validation": 7}
    assert data.spec.input_size == 28
    again = Alphabet(text="abcxyz" * 5, batch_size=2, evaluation_batch_size=1)
    again.load(data.spec)
    assert again.spec.inputs is data.spec.inputs


def test_mistakes() -> None:
    with pytest.raises(DataError, match=r"too few for data.batch_size=26 streams .* to at most 25$"):
        loaded(batch_size=26)
    with pytest.raises(DataError, match=r"validation text has 9 tokens, too few for data.evaluation_batch_size=10"):
        loaded(batch_size=2)
    with pytest.raises(ValueError, match="window=0 is too small"):
        Alphabet(window=0)
    with pytest.raises(DataError, match='no split "test"'):
        loaded(batch_size=2, evaluation_batch_size=1).num_batches("test")
