"""What every name in conf/task must do with every name in conf/cell. There is no list of exceptions: each quick test
tries a quarter of the pairs, four of them together every pair, and `-m slow` the rest (`pairs.py`).

Regression is tried with numbers a step; `tests/tasks/test_regression.py` tries numbers a sequence.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seqzoo.configuration import composing, experiment
from seqzoo.configuration.building import build_model
from seqzoo.configuration.composing import merged
from seqzoo.configuration.experiment import Parts
from seqzoo.configuration.registry import names
from seqzoo.contracts.batch import END, PAD, UNKNOWN, Batch, Features
from seqzoo.contracts.class_index import class_of
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.verse_notation import FRAME
from seqzoo.data.text.codec import LabelCodec, TextCodec
from seqzoo.data.text.vocabulary import SOURCE_SPECIALS, TARGET_SPECIALS
from seqzoo.network.model import Model
from seqzoo.tasks.classification import Classification
from seqzoo.training.record.checkpoint import load_weights, save_weights
from tests.contracts.pairs import pairs

B, T, U = 4, 6, 5
LENGTHS = torch.tensor([6, 4, 3, 1])
TARGET_LENGTHS = torch.tensor([3, 5, 1, 2])
LETTERS = [list("abcdefgh")]
SOME_CHARACTERS = list("青山入白雲春草過寒江流水隨孤村夕陽故鄉清霜月光高樓秋雨古寺遠客落花芳樹空庭啼鳥")
WIDTH = 16

SOURCE = TextCodec.learn("characters", LETTERS)
# characters of verse come first: they occur more often than what frames a poem
VERSES = TextCodec.learn("characters", [SOME_CHARACTERS, SOME_CHARACTERS, [*FRAME, *"457"]])
TARGET = TextCodec.learn("characters", LETTERS, TARGET_SPECIALS)
LABELS = LabelCodec(["X", "Y", "Z"])
BLANKED = TextCodec.learn("characters", LETTERS, (*SOURCE_SPECIALS, "_"))
# by the kind of data; a task that needs data of its own has them by its name
SPECS = {
    "cloze": DataSpec("cloze", BLANKED.size, BLANKED.size, BLANKED, BLANKED),
    "classification": DataSpec("classification", SOURCE.size, LABELS.size, SOURCE, LABELS),
    "tagging": DataSpec("tagging", SOURCE.size, LABELS.size, SOURCE, LABELS),
    "trees": DataSpec("trees", SOURCE.size, LABELS.size, SOURCE, LABELS, trees="brackets"),
    "language_modeling": DataSpec("language_modeling", SOURCE.size, SOURCE.size, SOURCE, SOURCE),
    "verse": DataSpec("language_modeling", VERSES.size, VERSES.size, VERSES, VERSES),
    "transduction": DataSpec("transduction", SOURCE.size, TARGET.size, SOURCE, TARGET),
    "captioning": DataSpec("transduction", 3, TARGET.size, None, TARGET, picture=[3, 12, 12]),
    "transcription": DataSpec("transduction", 20, TARGET.size, None, TARGET, rate=2_000),
    "regression": DataSpec("regression", 3, 2, per_step=True, next_values=True),
    "polyphony": DataSpec("polyphony", 6, 6),
}

compose, load = functools.cache(experiment.compose), functools.cache(composing.load)


def spec_of(task: str) -> DataSpec:
    return SPECS.get(task) or SPECS[class_of("seqzoo.tasks", load("task", task)["class"]).reads]


def build(task: str, cell: str, backbone: str = "unidirectional", **task_options: Any) -> Model:
    small = ["encoder.channels=[4,8]", "encoder.blocks=[0,1]"] if task == "captioning" else []
    if task == "transcription":
        small = ["encoder=log_mel", "encoder.normalisation=none", "encoder.bands=12"]
    config = compose(f"task={task}", "backbone=unidirectional", f"backbone.hidden_size={WIDTH}", *small)
    # composing once a backbone would take most of the time
    layers = {**load("backbone", backbone), "hidden_size": WIDTH, "dropout": 0.0}
    if "columns" in layers:
        layers["columns"] = 2  # so that few steps are several rows of a grid
    parts = Parts(
        encoder=config.encoder,
        cell=load("cell", cell),
        backbone=layers,
        task=merged(config.task, task_options),
        choices={**config.choices, "backbone": backbone},
    )
    return build_model(parts, spec_of(task))


def some_batch(task: str) -> Batch:
    """Rows of different lengths, and targets that do not follow from anything: they must be learned by heart."""
    inputs = torch.randint(2, SOURCE.size, (B, T)).masked_fill(torch.arange(T) >= LENGTHS[:, None], PAD)
    inputs[:, 0] = torch.arange(2, 2 + B)  # so that the rows differ from the first step on
    spec = spec_of(task)
    if spec.kind == "classification":
        return Batch(inputs, LENGTHS, torch.tensor([0, 1, 2, 1]))
    if spec.kind == "cloze":
        inputs = inputs + (inputs > PAD).long()  # no blanks
        return Batch(inputs, LENGTHS, inputs)
    if spec.kind in ("tagging", "trees"):
        return Batch(inputs, LENGTHS, torch.randint(0, 3, (B, T)))
    if writes_on(task):
        return Batch(inputs, LENGTHS, torch.randint(2, SOURCE.size, (B, T)))
    if spec.kind == "regression":
        return Batch(torch.randn(B, T, 3), LENGTHS, torch.randn(B, T, 2))
    if spec.kind == "polyphony":
        frames = (torch.rand(B, T + 1, 6) < 0.2).float()
        frames[:, 0] = torch.eye(B, 6)
        return Batch(frames[:, :-1], LENGTHS, frames[:, 1:])
    if spec.picture is not None:
        pictures, lengths = torch.rand(B, 3, 12, 12), torch.ones_like(LENGTHS)
        return dataclasses.replace(some_batch("transduction"), inputs=pictures, lengths=lengths, padded=False)
    targets = torch.randint(4, TARGET.size, (B, U))
    if spec.rate is not None:
        inputs = torch.randn(B, T, spec.input_size)
        targets = 4 + torch.arange(B * U).view(B, U) % (TARGET.size - 4)  # equal neighbours would need more steps
    targets[torch.arange(B), TARGET_LENGTHS - 1] = END
    return Batch(inputs, LENGTHS, targets.masked_fill(torch.arange(U) >= TARGET_LENGTHS[:, None], PAD), TARGET_LENGTHS)


@pytest.fixture(params=names("cell"))
def cell(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=names("task"))
def task(request: pytest.FixtureRequest) -> str:
    return request.param


def writes_on(task: str) -> bool:
    """Whether it continues texts, which has no right answer."""
    return spec_of(task).kind == "language_modeling"


def backbone_for(task: str) -> str:
    return "unidirectional" if predicts_next(task) else "pointwise" if task == "captioning" else "bidirectional"


def predicts_next(task: str) -> bool:
    """Whether it predicts what comes next, which a network of both directions would see."""
    return class_of("seqzoo.tasks", load("task", task)["class"]).needs_causal


def loss_of(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    scores, _ = model(batch)
    loss = model.task.loss(scores, batch)
    return loss.total, loss.count


def rows(batch: Batch, chosen: slice) -> Batch:
    return batch.map(lambda part: part[chosen])


def learns(model: Model, batch: Batch, share: float) -> bool:
    """Whether a few dozen updates bring the loss of one batch below this share of what it was."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    first = loss_of(model, batch)[0].item()
    for _ in range(80):
        optimizer.zero_grad()
        total, count = loss_of(model, batch)
        if total < share * first:
            return True
        (total / count).backward()
        optimizer.step()
    return False


@pytest.mark.parametrize(("task", "cell"), pairs(names("task"), names("cell")))
def test_half_batches_sum_to_the_whole(task: str, cell: str) -> None:
    model, batch = build(task, cell, backbone_for(task)).eval(), some_batch(task)
    whole, count = loss_of(model, batch)
    first, second = loss_of(model, rows(batch, slice(0, 1))), loss_of(model, rows(batch, slice(1, B)))
    torch.testing.assert_close(first[0] + second[0], whole)
    targets = {"classification": B, "transduction": TARGET_LENGTHS.sum(), "regression": 2 * LENGTHS.sum()}
    assert first[1] + second[1] == count == targets.get(spec_of(task).kind, LENGTHS.sum())


def test_the_example_batch_has_a_loss(task: str) -> None:
    model, spec = build(task, "gru", backbone_for(task)), spec_of(task)
    batch = model.task.example_batch(2, T, numbers=spec.inputs is None)
    assert batch.size == 2
    total, count = loss_of(model, batch)
    assert math.isfinite(total.item())
    assert count > 0


@pytest.mark.parametrize(("task", "cell"), pairs(names("task"), names("cell"), shift=1))
def test_padding_changes_nothing(task: str, cell: str) -> None:
    model, batch = build(task, cell, backbone_for(task)).eval(), some_batch(task)
    wider = dataclasses.replace(batch)
    if batch.padded:
        inputs = batch.inputs.clone()
        inputs[torch.arange(T) >= LENGTHS[:, None]] = 5
        wider.inputs = widened(inputs, 7)
    if task != "classification":
        wider.targets = widened(batch.targets, 2)
    expected, found = loss_of(model, batch), loss_of(model, wider)
    torch.testing.assert_close(found, expected)
    if not writes_on(task):
        expected, found = model.task.decode(model, batch), model.task.decode(model, wider)
        assert_same_answers([p.answer for p in found], [p.answer for p in expected])
        assert [p.score for p in found] == pytest.approx([p.score for p in expected], abs=1e-5)


def widened(tensor: Tensor, value: int) -> Tensor:
    """Three more steps."""
    return torch.cat([tensor, tensor.new_full((B, 3, *tensor.shape[2:]), value)], 1)


def assert_same_answers(found: list, expected: list, tolerance: float = 1e-5) -> None:
    """Words are equal, numbers as near as a sum in another order comes."""
    for answer, right in zip(found, expected, strict=True):
        try:
            answer, right = ([float(number) for step in row for number in step.split()] for row in (answer, right))
        except ValueError:
            assert answer == right
        else:
            assert answer == pytest.approx(right, abs=tolerance)


@pytest.mark.parametrize(("task", "cell"), pairs(names("task"), names("cell"), shift=2))
def test_one_batch_is_learned(task: str, cell: str) -> None:
    assert learns(build(task, cell, backbone_for(task)), some_batch(task), share=0.5)


@pytest.mark.parametrize(("task", "cell"), pairs(names("task"), ["elman", "gru", "lstm"]))
def test_one_batch_is_learned_by_heart_and_decoded(task: str, cell: str) -> None:
    model, batch = build(task, cell, backbone_for(task)), some_batch(task)
    assert learns(model, batch, share=0.03)
    with torch.no_grad():
        for _ in range(40):  # statistics over batches follow the weights
            model(batch)
    model.eval()
    if writes_on(task):  # a continuation has no right answer
        assert (model.task.head.log_probabilities(model(batch)[0]).argmax(-1) == batch.targets)[
            torch.arange(T) < LENGTHS[:, None]
        ].all()
        return
    predictions = model.task.decode(model, batch)
    assert_same_answers([p.answer for p in predictions], model.task.references(batch), tolerance=1.0)
    assert all(p.score is None or -2 < p.score <= 0 for p in predictions)


@pytest.mark.parametrize(("task", "cell"), pairs(names("task"), names("cell")))
def test_a_prediction_for_each_row(task: str, cell: str) -> None:
    model, batch = build(task, cell, backbone_for(task)).eval(), some_batch(task)
    predictions = model.task.decode(model, batch)
    assert len(predictions) == len(model.task.show(batch, predictions)) == B
    if spec_of(task).kind == "regression":
        assert all(p.score is None for p in predictions)
    else:
        assert all(math.isfinite(p.score) and p.score < 0 for p in predictions)


def test_a_batch_without_targets_can_be_decoded_and_shown(task: str) -> None:
    model, batch = build(task, "gru", backbone_for(task)).eval(), some_batch(task)
    batch = Batch(batch.inputs, batch.lengths)
    predictions = model.task.decode(model, batch)
    assert len(model.task.show(batch, predictions)) == len(predictions) == B


@pytest.mark.parametrize(("task", "cell"), pairs(names("task"), names("cell"), shift=3))
def test_saved_weights_give_the_same_scores(task: str, cell: str, tmp_path: Path) -> None:
    model, batch = build(task, cell, backbone_for(task)).eval(), some_batch(task)
    save_weights(tmp_path / "weights", model, {})
    copy = build(task, cell, backbone_for(task)).eval()
    weights = zip(copy.parameters(), model.parameters(), strict=True)
    assert not all(torch.equal(weight, other) for weight, other in weights)
    load_weights(tmp_path / "weights", copy)
    torch.testing.assert_close(copy(batch)[0], model(batch)[0], rtol=0, atol=0)


@pytest.mark.parametrize("backbone", names("backbone"))
def test_every_parameter_learns_with_every_backbone_that_fits(task: str, backbone: str) -> None:
    batch = some_batch(task)
    # a decoder that starts from the state alone would leave a gate above the last layer unread
    decodes = spec_of(task).kind == "transduction" and task != "transcription"
    options = {"decoder": {"context": "every_step"}} if decodes else {}
    made = load("backbone", backbone)
    refusal = None
    if spec_of(task).kind not in ("classification", "transduction") and made["class"] == "Pyramidal":
        refusal = "outputs fewer steps than it reads"
    elif predicts_next(task) and (made.get("bidirectional") or made["class"] in ("Grid", "ReNet")):
        refusal = "reads future inputs"
    elif task == "cloze" and backbone != "bidirectional":
        refusal = "does not keep what it read before a token apart"
    if refusal:
        with pytest.raises(ConfigError, match=refusal):
            build(task, "gru", backbone)
        return
    model = build(task, "gru", backbone, **options)
    total, count = loss_of(model, batch)
    (total / count).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


# classification


def pooled(pooling: str, outputs: Tensor, last: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
    head = Classification(outputs.shape[2], SPECS["classification"], ["accuracy"], pooling)
    return head.pooling(Features(outputs, outputs[:, -1] if last is None else last, (), lengths))


def test_mean_and_max_pooling_ignore_padding() -> None:
    outputs = torch.tensor([[[1.0, -5.0], [3.0, -1.0], [0.0, 0.0]], [[-2.0, 4.0], [0.0, 0.0], [0.0, 0.0]]])
    lengths = torch.tensor([2, 1])
    torch.testing.assert_close(pooled("mean", outputs, None, lengths), torch.tensor([[2.0, -3.0], [-2.0, 4.0]]))
    torch.testing.assert_close(pooled("max", outputs, None, lengths), torch.tensor([[3.0, -1.0], [-2.0, 4.0]]))
    torch.testing.assert_close(pooled("mean", outputs), outputs.mean(1))
    torch.testing.assert_close(pooled("max", outputs), outputs.amax(1))


def test_attention_pooling_is_a_weighted_mean_of_the_real_steps() -> None:
    outputs, lengths = torch.randn(2, 4, 3), torch.tensor([4, 2])
    outputs[1, 2:] = 0
    head = Classification(3, SPECS["classification"], ["accuracy"], "attention")
    found = head.pooling(Features(outputs, outputs[:, -1], (), lengths))
    for row, length in enumerate(lengths.tolist()):
        real = outputs[row, :length]
        weights = head.pooling.attention(real)[:, 0].softmax(0)
        torch.testing.assert_close(found[row], (weights[:, None] * real).sum(0))


def test_last_pooling_of_both_directions_has_read_everything(cell: str) -> None:
    model, batch = build("classification", cell, "bidirectional", pooling="last").eval(), some_batch("classification")
    features = model.encode(batch)
    found, half = model.task.pooling(features), features.outputs.shape[2] // 2
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(found[row, :half], features.outputs[row, length - 1, :half])
        torch.testing.assert_close(found[row, half:], features.outputs[row, 0, half:])


@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_every_pooling_learns(pooling: str) -> None:
    assert learns(build("classification", "gru", pooling=pooling), some_batch("classification"), share=0.05)


# transduction


@pytest.mark.parametrize(("context", "cell"), pairs(["first_state", "every_step"], names("cell")))
def test_the_decoder_may_have_another_cell(cell: str, context: str) -> None:
    """Of another width, too: its first state is then made by a layer, and the answer learns from the encoder."""
    decoder = {"backbone": {"cell": cell, "hidden_size": WIDTH + 4}, "context": context}
    encoder_cell = "gru" if cell == "lstm" else "lstm"
    model, batch = build("transduction", encoder_cell, decoder=decoder), some_batch("transduction")
    assert (model.task.decoder.bridge is not None) == (context == "first_state")
    loss_of(model, batch)[0].backward()
    assert (model.backbone.layers[0][0].weight_ih.grad != 0).any()
    assert learns(model, batch, share=0.6)
    assert len(model.task.decode(model.eval(), batch)) == B


def test_an_encoder_of_the_same_shape_gives_its_state_as_it_is(cell: str) -> None:
    model, batch = build("transduction", cell).eval(), some_batch("transduction")
    features = model.encode(batch)
    assert model.task.decoder.bridge is None
    (first, _, _), _ = model.task.decoder.start(features)
    for ours, theirs in zip(first[0][0], features.state[0][0], strict=True):
        assert torch.equal(ours, theirs)


DECODERS = [
    {"context": "first_state"},
    {"context": "every_step"},
    {"context": ["first_input", "every_step"]},
    {"context": ["first_state", "max_state"]},
    {"context": "first_input"},
    {"context": "mean_state", "attention": "general"},
    {"context": "every_step", "attention": "location_aware", "input_feeding": True},
]


@pytest.mark.parametrize(("options", "cell"), pairs(DECODERS, names("cell")), ids=str)
def test_teacher_forcing_is_stepping_through_the_right_tokens(cell: str, options: dict[str, Any]) -> None:
    model, batch = build("transduction", cell, decoder=options).eval(), some_batch("transduction")
    features = model.encode(batch)
    decoder = model.task.decoder
    outputs, (state, memory) = model.task(features, batch), decoder.start(features)
    token = torch.full((B,), 2)  # <bos>
    for step in range(U):
        found, state = decoder.step(token, state, memory)
        torch.testing.assert_close(found, outputs[:, step])
        token = batch.targets[:, step]


# language modelling


def test_stepping_is_forward(cell: str) -> None:
    model, batch = build("language_modeling", cell, "deep").eval(), some_batch("language_modeling")
    outputs, _ = model(Batch(batch.inputs, torch.full((B,), T), padded=False))
    state = model.backbone.initial_state(B)
    for t in range(T):
        output, state = model.step(batch.inputs[:, t], state)
        torch.testing.assert_close(output, outputs[:, t])


def test_the_score_of_a_continuation_is_its_log_probability(cell: str) -> None:
    """As a forward pass over prompt and continuation gives it, `<pad>` and `<unk>` left out."""
    model = build("language_modeling", cell, search={"temperature": 0.7, "max_length": 9}).eval()
    prompt = torch.randint(2, SOURCE.size, (B, T))
    predictions = model.task.decode(model, Batch(prompt, torch.full((B,), T), padded=False))
    drawn = torch.tensor([SOURCE.encode(p.answer) for p in predictions])
    assert drawn.shape == (B, 9)
    outputs, _ = model(Batch(torch.cat([prompt, drawn], 1), torch.full((B,), T + 9), padded=False))
    scores = model.task.head.log_probabilities(outputs[:, T - 1 : -1])
    scores[..., [PAD, UNKNOWN]] = float("-inf")
    expected = scores.log_softmax(-1).gather(2, drawn[..., None]).sum((1, 2))
    assert [p.score for p in predictions] == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_continuation_is_drawn_or_at_temperature_zero_determined(cell: str) -> None:
    model, batch = build("language_modeling", cell, search={"max_length": 12}).eval(), some_batch("language_modeling")

    def answers(temperature: float) -> list[str]:
        model.task.search = dataclasses.replace(model.task.search, temperature=temperature)
        return [p.answer for p in model.task.decode(model, batch)]

    assert answers(0.0) == answers(0.0)
    assert answers(1.0) != answers(1.0)


def test_carried_state_continues_the_text(cell: str) -> None:
    model, batch = build("language_modeling", cell).eval(), some_batch("language_modeling")
    inputs, full = batch.inputs, torch.full((B,), T)
    whole, after = model(Batch(inputs, full, padded=False))
    first, state = model(Batch(inputs[:, :2], full, padded=False))
    second, end = model(Batch(inputs[:, 2:], full, padded=False), state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(end, after)
