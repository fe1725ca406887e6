"""Connectionist temporal classification as a task."""

from __future__ import annotations

import functools
import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from torch import Tensor

from seqzoo import build, compose
from seqzoo.cells.gru import GRU
from seqzoo.configuration.building import build_model
from seqzoo.contracts.batch import END, Batch, Features
from seqzoo.contracts.data_module import DataModule, Row
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.vocabulary import TARGET_SPECIALS
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.network.heads.transducer import TransducerOptions, transducer_losses
from seqzoo.network.model import Model
from seqzoo.runs.loaded import Loaded
from seqzoo.tasks.decoding.ctc import merged
from seqzoo.tasks.transcription import PrefixSearch, Transcription

LETTERS = TextCodec.learn("characters", ["abc"], TARGET_SPECIALS)
A, B, C = LETTERS.encode("abc")
SPEC = DataSpec("transduction", 20, LETTERS.size, None, LETTERS, rate=2_000)


def task(**options: Any) -> Transcription:
    predictor = functools.partial(Recurrent, functools.partial(GRU), hidden_size=4)
    return Transcription(5, SPEC, TransducerOptions(predictor, 3, 6), ["cer"], **options)


def texts(*rows: list[int]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows)) + 1
    return torch.tensor([[*row, END] + [0] * (longest - 1 - len(row)) for row in rows]), torch.tensor(
        [len(row) + 1 for row in rows]
    )


def batch_of(outputs: Tensor, lengths: Tensor, *rows: list[int]) -> Batch:
    return Batch(torch.zeros(len(rows), outputs.shape[1], 20), lengths, *texts(*rows))


def features_of(outputs: Tensor, lengths: Tensor | None) -> Features:
    return Features(outputs, outputs[:, -1], (), lengths)


def test_the_loss_is_the_sum_over_all_paths() -> None:
    made, outputs, lengths = task(), torch.randn(3, 4, 5), torch.tensor([4, 3, 2])
    rows = [[A, B], [C, C], []]
    batch = batch_of(outputs, lengths, *rows)
    scores = made(features_of(outputs, lengths), batch)
    loss = made.loss(scores, batch)
    expected = 0.0
    for row, (ids, length) in enumerate(zip(rows, lengths.tolist(), strict=True)):
        logs = made.head(outputs[row, :length]).log_softmax(-1).detach()
        paths = [path for path in itertools.product(range(LETTERS.size), repeat=length) if merged(path, 0) == ids]
        sums = torch.stack([logs[torch.arange(length), torch.tensor(path)].sum() for path in paths])
        expected -= float(sums.logsumexp(0))
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert loss.count == 3 + 3 + 1


def test_padding_and_texts_that_do_not_fit_have_finite_gradients() -> None:
    made, lengths = task(), torch.tensor([4, 1])
    outputs = torch.randn(2, 4, 5).requires_grad_()
    batch = batch_of(outputs, lengths, [A], [A, A, A])
    loss = made.loss(made(features_of(outputs, lengths), batch), batch)
    loss.total.backward()
    alone = batch_of(outputs, lengths, [A])
    expected = made.loss(made(features_of(outputs[:1], None), alone), alone)
    assert loss.total.item() == pytest.approx(expected.total.item(), rel=1e-5)
    assert outputs.grad.isfinite().all()
    assert not outputs.grad[1].any()


class Sizes(DataModule):
    """Data of which only the sizes are read."""

    def __init__(self, *rows: Row):
        self._rows = rows

    def splits(self) -> dict[str, int]:
        return {"train": len(self._rows)}

    def rows(self, split: str) -> Any:
        return iter(self._rows)


def sound_model(**options: Any) -> Model:
    experiment = compose("task=transcription", "backbone.hidden_size=6", *(f"{k}={v}" for k, v in options.items()))
    return build_model(experiment, SPEC)


def test_texts_that_do_not_fit_are_named_before_training() -> None:
    model = sound_model(**{"encoder.bands": 12})
    fits = Row("a.wav", 9, [A, B, C, END])  # two convolutions make 3 steps of 9
    model.task.check_start(model, Sizes(fits, Row("b.wav", 12, [A, A, END])))
    long = [Row(f"{name}.wav", 8, [A, A, END]) for name in "cdefg"]
    with pytest.raises(ConfigError) as raised:
        model.task.check_start(model, Sizes(fits, *long))
    lines = str(raised.value).split("\n")
    assert lines[0] == "c.wav: a text of 2 tokens needs 3 steps, and the network makes 2 of 8"
    assert lines[3] == "... and 2 more"
    assert len(lines) == 5
    with pytest.raises(ConfigError, match="row 1: a text of 3 tokens"):
        model.task.check_start(model, Sizes(Row("", 4, [A, B, C, END])))


def test_the_sizes_of_data() -> None:
    _, data = build("task=transcription", "data.train_size=5", "debug=tiny")
    rows, [batch] = list(data.rows("train")), list(data.plain_batches("train"))
    assert [row.steps for row in rows] == batch.lengths.tolist()
    assert [len(row.targets) for row in rows] == batch.target_lengths.tolist()
    assert [row.targets for row in rows] == [row.targets for row in DataModule.rows(data, "train")]
    assert [row.where for row in rows] == [text for [text] in batch.references]


class Fixed(torch.nn.Module):
    """A model of given scores."""

    def __init__(self, made: Transcription, scores: Tensor):
        super().__init__()
        self.task, self.given = made, scores

    def encode(self, batch: Batch) -> Features:
        return features_of(self.given, None)

    def scores(self, batch: Batch, features: Features | None = None) -> Tensor:
        return self.given


def test_answers_have_their_log_probability() -> None:
    scores = torch.randn(2, 4, LETTERS.size)
    for size in (1, 200):
        made = task(search=PrefixSearch(beam_size=size))
        model, batch = Fixed(made, scores), Batch(torch.zeros(2, 4, 20), torch.tensor([4, 4]), padded=False)
        predictions = made.decode(model, batch)
        logs = scores.clone()
        logs[..., [1, 2, 3]] = float("-inf")  # <unk>, <bos> and <eos> are never written
        logs = logs.log_softmax(-1)
        for row, prediction in enumerate(predictions):
            ids = LETTERS.encode(str(prediction.answer))
            paths = [p for p in itertools.product([0, A, B, C], repeat=4) if merged(p, 0) == ids]
            sums = torch.stack([logs[row, torch.arange(4), torch.tensor(path)].sum() for path in paths])
            assert prediction.score == pytest.approx(float(sums.logsumexp(0)), abs=1e-5)
    best = made.candidates(model, batch, 200)
    assert [row[0] for row in best] == predictions
    total = sum(math.exp(p.score) for p in best[0])
    assert total == pytest.approx(1, abs=1e-4)
    scored = made.score_answers(model, batch, ["ab", "cc"])
    expected = {p.answer: p.score for p in best[0]}
    assert scored[0][0].score == pytest.approx(expected["ab"], abs=1e-5)
    assert made.score_answers(model, batch, ["abcabc", "a"])[0][0].score == float("-inf")
    with pytest.raises(DataError, match="'x' has tokens that are not in the vocabulary"):
        made.score_answers(model, batch, ["x", "a"])


def test_alignment_says_which_step_writes_which_letter() -> None:
    scores = torch.full((1, 6, LETTERS.size), -9.0)
    for step, token in enumerate([0, A, A, 0, B, 0]):
        scores[0, step, token] = 9.0
    made = task()
    [alignment] = made.alignments(Fixed(made, scores), Batch(torch.zeros(1, 12, 20), torch.tensor([12]), padded=False))
    assert alignment.written == ["a", "b"]
    assert alignment.read == ["0.00", "0.02", "0.04", "0.06", "0.08", "0.10"]  # 12 steps of 10 ms
    assert alignment.weights.tolist() == [[0, 0.5, 0.5, 0, 0, 0], [0, 0, 0, 0, 1, 0]]
    silence = torch.full((1, 3, LETTERS.size), -9.0)
    silence[..., 0] = 9.0
    [alignment] = made.alignments(Fixed(made, silence), Batch(torch.zeros(1, 3, 20), torch.tensor([3]), padded=False))
    assert alignment.written == ["<blank>"]
    assert alignment.weights.sum() == pytest.approx(1)


def test_text_can_be_transcribed_too() -> None:
    """Any data of two texts, if the answer is not longer than the source."""
    model, data = build("task=transcription", "data=addition", "encoder=tokens", "debug=tiny")
    batch = next(data.batches("train"))
    predictions = model.task.decode(model, batch)
    assert len(model.task.show(batch, predictions)) == batch.size
    [alignment, *_] = model.task.alignments(model, batch)
    assert len(alignment.read) == alignment.weights.shape[1]
    with pytest.raises(ConfigError, match=r"a text of . tokens needs"):
        build("task=transcription", "data=addition", "encoder=tokens", "backbone=pyramidal", "debug=tiny")


def test_predictions_for_files(tmp_path: Path) -> None:
    model = sound_model(**{"encoder.bands": 12}).eval()
    loaded = Loaded(model, SPEC)
    for name, rate in (("a.wav", 2_000), ("b.flac", 8_000)):
        soundfile.write(tmp_path / name, torch.randn(rate).mul(0.1).numpy(), rate)
    paths = [str(tmp_path / name) for name in ("a.wav", "b.flac")]
    both, alone = loaded.predict(paths), loaded.predict(paths[:1])
    assert both[0].answer == alone[0].answer
    assert both[0].score == pytest.approx(alone[0].score, abs=1e-3)
    assert len(loaded.candidates(paths, 3)[1]) == 3
    assert loaded.score(paths, ["ab", "c"])[1][0].token == "c"
    assert loaded.alignments(paths)[0].weights.shape[1] == 25
    with pytest.raises(DataError, match=r"^there is no recording .*c\.wav"):
        loaded.predict([str(tmp_path / "c.wav")])


def test_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="beam_size is 0"):
        PrefixSearch(beam_size=0)


def test_words_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("ab\nc\n")
    scores = torch.full((1, 5, LETTERS.size), -3.0)
    for step, token in enumerate([A, A, C, C, 0]):
        scores[0, step, token] = 3.0
    batch = Batch(torch.zeros(1, 5, 20), torch.tensor([5]), padded=False)
    assert task().decode(Fixed(task(), scores), batch)[0].answer == "ac"
    made = task(search=PrefixSearch(words=str(tmp_path / "words.txt")))
    assert made.decode(Fixed(made, scores), batch)[0].answer in ("ab", "c")
    (tmp_path / "none.txt").write_text("\n \n")
    made = task(search=PrefixSearch(words=str(tmp_path / "none.txt")))
    with pytest.raises(DataError, match=r"none\.txt is empty"):
        made.decode(Fixed(made, scores), batch)


def test_the_loss_of_a_transducer_is_the_sum_over_all_ways_to_write() -> None:
    steps, texts_, lengths = 3, [[A, B], [C], []], torch.tensor([2, 1, 0])
    logs = torch.randn(3, steps, 3, LETTERS.size, dtype=torch.double).log_softmax(-1).requires_grad_()
    tokens = torch.tensor([[A, B], [C, 0], [0, 0]])
    losses = transducer_losses(logs, tokens, lengths, 0)
    assert torch.autograd.gradcheck(lambda x: transducer_losses(x.log_softmax(-1), tokens, lengths, 0), logs)
    for row, ids in enumerate(texts_):
        ways = []
        # the tokens are spread over the steps, and each step ends with a blank
        for places in itertools.combinations_with_replacement(range(steps), len(ids)):
            score, place = 0.0, 0
            for step in range(steps):
                while place < len(ids) and places[place] == step:
                    score += float(logs[row, step, place, ids[place]].detach())
                    place += 1
                score += float(logs[row, step, place, 0].detach())
            ways.append(score)
        expected = -float(torch.tensor(ways, dtype=torch.double).logsumexp(0))
        assert losses[row].item() == pytest.approx(expected)


def test_padding_changes_no_transduction() -> None:
    made, lengths = task(head="transducer").eval(), torch.tensor([4, 2])
    outputs = torch.randn(2, 4, 5)
    batch = batch_of(outputs, lengths, [A, B], [C])
    loss = made.loss(made(features_of(outputs, lengths), batch), batch).total.item()
    parts = []
    for row, (ids, length) in enumerate(zip([[A, B], [C]], lengths.tolist(), strict=True)):
        alone = batch_of(outputs[:1, :length], lengths[:1], ids)
        parts.append(made.loss(made(features_of(outputs[row : row + 1, :length], None), alone), alone).total.item())
    assert loss == pytest.approx(sum(parts), rel=1e-5)


def test_a_transducer_learns_the_keys_of_signals() -> None:
    """Within a few updates: with a bias against the blank, as of CTC, it takes twice as many."""
    torch.manual_seed(0)
    model, data = build(
        "task=transcription", "task.head=transducer", "data.train_size=8", "data.longest=3", "cell=gru",
        "backbone.hidden_size=32", "encoder.channels=[16,16]", "encoder.bands=20",
    )  # fmt: skip
    batch = next(data.batches("train"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(50):
        optimizer.zero_grad()
        loss, _ = model.loss(batch)
        (loss.total / loss.count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    answers = [prediction.answer for prediction in model.task.decode(model, batch)]
    assert answers == [reference for [reference] in batch.references]


def test_a_transducer_learns_and_listens() -> None:
    options = ("backbone=unidirectional", "encoder.normalisation=none", "encoder.bands=12", "encoder.channels=[]")
    experiment = compose("task=transcription", "cell=gru", "backbone.hidden_size=16", "task.head=transducer", *options)
    model = build_model(experiment, SPEC)
    batch = Batch(torch.randn(2, 9, 20), torch.tensor([9, 6]), *texts([A, A, B], [C]))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        loss, _ = model.loss(batch)
        loss.total.backward()
        optimizer.step()
    model.eval()
    predictions = model.task.decode(model, batch)
    assert [p.answer for p in predictions] == ["aab", "c"]
    assert all(-1 < p.score <= 0 for p in predictions)
    assert model.task.score_answers(model, batch, ["aab", "c"])[0][0].score == pytest.approx(predictions[0].score)
    alignment, _ = model.task.alignments(model, batch)
    assert alignment.written == ["a", "a", "b"]
    assert alignment.weights.argmax(1).tolist() == sorted(alignment.weights.argmax(1).tolist())
    stream = Loaded(model, SPEC).stream()
    assert [piece for chunk in batch.inputs[0].split(2) for piece in stream.push(chunk).answers] == ["a", "a", "b"]
    assert stream.end().prediction.score == pytest.approx(predictions[0].score, abs=1e-4)
    with pytest.raises(ConfigError, match="without a language model"):
        model.task.use_language(None)
    with pytest.raises(ValueError, match="search is for head=ctc"):
        task(head="transducer", search=PrefixSearch(beam_size=2))
