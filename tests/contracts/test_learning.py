"""What every name in conf/learning must do: exact rules give the gradients of backpropagation for every cell."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seqzoo
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.components import Provided, make
from seqzoo.configuration.composing import load
from seqzoo.configuration.registry import names
from seqzoo.contracts.batch import Batch, Features, Loss
from seqzoo.contracts.errors import TrainingError
from seqzoo.contracts.parts import Task
from seqzoo.contracts.state import flatten
from seqzoo.learning.network_step import Moment, NetworkStep
from seqzoo.learning.rule import LearningRule, Objective
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.network.encoders.tokens import TokenEncoder
from seqzoo.network.model import Model
from tests.conftest import Done

ROWS, STEPS, WORDS, UNITS = 3, 4, 5, 4


class Everything(Task):
    """A loss that depends on every output, the last one and the state."""

    def __init__(self, size: int):
        super().__init__()
        self.head = nn.Linear(size, 2)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        ends = sum((part.sin().sum() for part in flatten(features.state) if part.dim() > 1), torch.zeros(()))
        return self.head(features.outputs).sin().sum(2) + features.last.square().sum(1)[:, None] + ends

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        return Loss((scores * batch.targets).sum(), torch.ones(()))


def create(rule: str) -> LearningRule:
    return make("learning", load("learning", rule), Provided(), ())


RULES = {name: create(name) for name in names("learning")}
EXACT = [name for name, rule in RULES.items() if rule.exact]
WITH_MEMORY = [name for name, rule in RULES.items() if rule.crosses_batches]


def small_model(cell: str, **options: Any) -> Model:
    """A model in float64, all of whose weights are drawn, so that none is zero."""
    encoder = TokenEncoder(WORDS, 3)
    backbone = Recurrent(cell_factory(cell, engine="reference"), 3, **{"hidden_size": UNITS, **options})
    model = Model(encoder, backbone, Everything(backbone.output_size)).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model


def some_batch(resets: bool = True) -> Batch:
    """Rows of different lengths, one of them empty; the last step of the first row, and padding, begin anew."""
    lengths = torch.tensor([STEPS, 0, STEPS - 1])
    starts = torch.zeros(ROWS, STEPS, dtype=torch.bool)
    starts[0, -1] = starts[1, 1] = starts[2, 0] = True
    weights = torch.rand(ROWS, STEPS, dtype=torch.float64)
    return Batch(torch.randint(WORDS, (ROWS, STEPS)), lengths, weights, resets=starts if resets else None)


def objective(model: Model) -> Objective:
    return Objective(model, nullcontext, lambda tensor: tensor)


def collected(model: Model) -> dict[str, Tensor]:
    """The gradients, by name, which are then reset."""
    gradients = {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad
        for name, weight in model.named_parameters()
    }
    model.zero_grad()
    return gradients


def gradients_of(rule: LearningRule, model: Model, batches: list[Batch]) -> dict[str, Tensor]:
    state = None
    for batch in batches:
        _, state = rule.gradients(objective(model), batch, state)
    return collected(model)


def true_gradients(model: Model, batches: list[Batch], across: bool) -> dict[str, Tensor]:
    """By backpropagation, through the states between batches if `across`."""
    state, total = None, torch.zeros((), dtype=torch.float64)
    for batch in batches:
        loss, state = model.loss(batch, state)
        total = total + loss.total
        if not across:
            state = tuple(tuple(tuple(part.detach() for part in cell) for cell in layer) for layer in state)
    total.backward()
    return collected(model)


@pytest.mark.parametrize("cell", names("cell"))
@pytest.mark.parametrize("name", [name for name in EXACT if RULES[name].crosses_batches])
def test_exact_rules_are_backpropagation(name: str, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With lengths, resets and a state that is carried on to a second batch, in pieces of time and step by step."""
    model = small_model(cell)
    batches = [some_batch(), some_batch(resets=False)]
    expected = true_gradients(model, batches, across=True)
    monkeypatch.setattr("seqzoo.learning.rtrl.STEPS", STEPS - 1)
    for passes in (10**6, 0):
        monkeypatch.setattr("seqzoo.learning.rtrl.PASSES_PER_STEP", passes)
        torch.testing.assert_close(gradients_of(create(name), model, batches), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", EXACT)
def test_exact_rules_learn_initial_states_and_layers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for cell, passes in itertools.product(("lstm", "min_gru"), (10**6, 0)):
        monkeypatch.setattr("seqzoo.learning.rtrl.PASSES_PER_STEP", passes)
        model = small_model(cell, num_layers=2, learn_initial_state=True)
        batches = [some_batch(), some_batch()]
        expected = true_gradients(model, batches, RULES[name].crosses_batches)
        torch.testing.assert_close(gradients_of(create(name), model, batches), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", WITH_MEMORY)
def test_rules_resume_in_mid_stream(name: str) -> None:
    """The second batch after `restore` gives the same gradients, bit for bit."""
    model, first, second = small_model("elman"), some_batch(), some_batch(resets=False)
    second.continues = torch.tensor([2, -1, 0])
    rule, resumed = create(name), create(name)
    _, state = rule.gradients(objective(model), first, None)
    model.zero_grad()
    resumed.restore(torch.utils._pytree.tree_map(lambda part: part.clone(), rule.content()))
    outcomes = []
    for each in (rule, resumed):
        torch.manual_seed(0)
        loss, after = each.gradients(objective(model), second, state)
        outcomes.append((loss, after, collected(model), each.content()))
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=0, atol=0)


@pytest.mark.parametrize("name", WITH_MEMORY)
def test_memory_does_not_grow_with_time(name: str) -> None:
    model, kept = small_model("elman"), []
    for steps in (2, 40):
        batch = Batch(torch.randint(WORDS, (1, steps)), torch.tensor([steps]), torch.rand(1, steps).double())
        rule = create(name)
        rule.gradients(objective(model), batch, None)
        kept.append([part.shape for part in rule.content()["memory"]])
    assert kept[0] == kept[1]
    assert kept[0]


@pytest.mark.parametrize("name", WITH_MEMORY)
def test_a_memory_of_another_network_is_an_error(name: str) -> None:
    rule, model, batch = create(name), small_model("elman"), some_batch()
    with pytest.raises(ValueError, match="not a list of tensors"):
        rule.restore({**rule.content(), "memory": [1.0]})
    rule.restore({**rule.content(), "memory": [torch.zeros(ROWS, 1)]})
    _, state = create(name).gradients(objective(model), batch, None)
    with pytest.raises(TrainingError, match="does not belong to the state"):
        rule.gradients(objective(model), batch, state)


class Spelled(TokenEncoder):
    reads_characters = True


def test_rules_that_go_forward_say_what_they_cannot_train() -> None:
    def reasons(encoder: TokenEncoder | None = None, cell: dict | None = None, **options: Any) -> list[str]:
        create_one = cell_factory("gru", **(cell or {}))
        backbone = Recurrent(create_one, 3, hidden_size=UNITS, **options)
        return create("rtrl").misfits(Model(encoder or TokenEncoder(WORDS, 3), backbone, Everything(UNITS)))

    assert reasons() == []
    assert reasons(num_layers=2, learn_initial_state=True) == []
    (ahead,) = reasons(bidirectional=True)
    assert ahead.startswith("goes forward in time, and {backbone} reads steps that are ahead: choose one that does not")
    twice = "computes each step a second time, and "
    assert reasons(cell={"zoneout": 0.1}) == [f"{twice}cell.zoneout draws new numbers: leave it out"]
    clipped = f"{twice}cell.clip_state_gradient changes the gradients of backpropagation: leave it out"
    assert reasons(cell={"clip_state_gradient": 1.0}) == [clipped]
    dropout = f"{twice}dropout in {{backbone}} draws new numbers: set backbone.dropout=0"
    assert reasons(num_layers=2, dropout=0.1, locked=True) == [dropout]
    (of_encoder,) = reasons(TokenEncoder(WORDS, 3, embedding_dropout=0.1))
    assert of_encoder.startswith(f"{twice}dropout in {{encoder}} draws new numbers: set encoder.dropout=0")
    frozen = TokenEncoder(WORDS, 3, dropout=0.1)
    frozen.requires_grad_(False)
    assert reasons(frozen) == []
    assert "those of {encoder} read more than a token" in reasons(Spelled(WORDS, 3))[0]
    captioning, _ = seqzoo.build("task=captioning", "debug=tiny", "backbone=unidirectional")
    assert "those of {encoder} read more than a token" in create("rtrl").misfits(captioning)[0]


@pytest.mark.parametrize("cell", ["elman", "lstm", "gru", "leaky", "alif"])
def test_kronecker_factors_follow_products_alone(cell: str) -> None:
    """One factor for each product, whose sum of outer products at one step is the derivative by the weights."""
    model = small_model(cell, num_layers=2)
    rule = create("kf_rtrl")
    assert rule.misfits(model) == []
    step = NetworkStep(model)
    rule.prepare(step)
    state, counters = step.split(model.backbone.initial_state(ROWS))
    moment = Moment(torch.tensor([1, 2, 0]), torch.randn_like(state), counters)
    seed = torch.randn(1, step.size, dtype=torch.float64)
    expected = step.pull_weights(moment, [*step.trained[0], *step.trained[1]], seed)[:, 0].sum(0)
    model.zero_grad()
    _, *parts = rule.products(moment)
    rule.add(rule.collect(parts, seed.expand(ROWS, -1)))
    actual = [weight.grad.flatten() for part in step.trained for weight in part.values()]
    torch.testing.assert_close(torch.cat(actual), expected)


@pytest.mark.parametrize(("cell", "weight"), [("lru", "nu"), ("mgu", "weight_hh"), ("leaky_learned", "log_tau")])
def test_kronecker_factors_refuse_other_weights(cell: str, weight: str) -> None:
    (reason,) = create("kf_rtrl").misfits(small_model(cell).to("meta"))
    assert "follows the weights of products with a whole matrix" in reason
    assert weight in reason


def test_check_says_what_a_rule_cannot_train(command: Callable[..., Done]) -> None:
    overrides = ("debug=tiny", "task=tagging", "learning=rtrl", "backbone=unidirectional")
    assert command("check", *overrides).status == 0
    refused = command("check", *overrides, "backbone=bidirectional")
    assert refused.status == 2
    reason = (
        "learning=rtrl goes forward in time, and backbone=bidirectional reads steps that are ahead: choose one that"
    )
    assert reason in refused.err
    large = command("check", *overrides, "cell=elman", "backbone.hidden_size=1100", "data.batch_size=512")
    assert large.status == 2
    assert re.match(
        r"seqzoo: learning=rtrl needs [\d,]{3,} GiB for 512 rows of cell=elman, and this machine ", large.err
    )
    assert command("check", *overrides, "cell=lru", "backbone.hidden_size=64", "data.batch_size=32").status == 0


def test_rules_that_go_forward_refuse_a_model_in_training() -> None:
    backbone = Recurrent(cell_factory("gru"), 3, hidden_size=UNITS, bidirectional=True)
    model = Model(TokenEncoder(WORDS, 3), backbone, Everything(2 * UNITS))
    with pytest.raises(TrainingError, match="RealTimeRecurrentLearning goes forward in time, and the backbone reads"):
        create("rtrl").gradients(objective(model), some_batch(), None)


ONE_BY_ONE = [name for name, rule in RULES.items() if "parents" not in rule.supports]


def test_rules_that_go_over_the_steps_themselves_refuse_trees(command: Callable[..., Done]) -> None:
    assert {"rtrl", "snap1", "uoro", "e_prop", "truncated", "checkpointed"} <= {*ONE_BY_ONE}
    refused = command("check", "task=tree_classification", "debug=tiny", "learning=rtrl")
    assert refused.status == 2
    assert refused.err.startswith("seqzoo: learning=rtrl does not support `parents` (the parents of a tree's nodes):")
    assert command("check", "task=tree_classification", "debug=tiny", "learning=bptt").status == 0


@pytest.mark.parametrize("name", ONE_BY_ONE)
@pytest.mark.parametrize("field", ["parents", "elapsed", "grid"])
def test_batches_with_structure_that_a_rule_would_ignore_are_refused(name: str, field: str) -> None:
    whole = {"parents": torch.full((ROWS, STEPS), -1), "elapsed": torch.ones(ROWS, STEPS), "grid": (2, 2)}
    batch = dataclasses.replace(some_batch(resets=False), **{field: whole[field]})
    with pytest.raises(TrainingError, match=f"does not support `{field}`"):
        create(name).gradients(objective(small_model("gru")), batch, None)


def mean_and_error(estimates: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The mean of estimates and its standard error."""
    together = torch.stack(estimates)
    return together.mean(0), together.std(0) / len(estimates) ** 0.5


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.unbiased])
def test_unbiased_rules_have_the_right_mean(name: str) -> None:
    """Within four standard errors for every weight; the rows of a batch are draws, too."""
    torch.manual_seed(0)
    model = small_model("elman", hidden_size=2, learn_initial_state=True)
    rows = 400 if RULES[name].crosses_batches else 1
    inputs, weights = torch.randint(WORDS, (1, STEPS)).expand(rows, -1), torch.rand(1, STEPS).double().expand(rows, -1)
    batches = [Batch(inputs, torch.full((rows,), STEPS), weights)] * (2 if RULES[name].crosses_batches else 1)
    expected = true_gradients(model, batches, RULES[name].crosses_batches)
    rule, draws = create(name), []
    for _ in range(20 if rows > 1 else 150):
        draws.append(torch.cat([part.flatten() for part in gradients_of(rule, model, batches).values()]))
    mean, error = mean_and_error(draws)
    distance = (mean - torch.cat([part.flatten() for part in expected.values()])).abs()
    assert (distance <= 4 * error + 1e-9).all(), (distance / error).max()
    assert (error > 0).any()


@pytest.mark.parametrize("rule", WITH_MEMORY)
def test_layers_may_be_unfrozen_during_a_training(rule: str) -> None:
    """A rule that began with the head alone goes on as one that began with all layers."""
    model, batch = small_model("elman"), some_batch()
    trained = {name: weight.requires_grad for name, weight in model.named_parameters()}
    for name, weight in model.named_parameters():
        weight.requires_grad_(name.startswith("task."))
    started = create(rule)
    torch.manual_seed(0)
    started.gradients(objective(model), batch, None)
    head = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert head == {"task.head.weight", "task.head.bias"}
    collected(model)
    for name, weight in model.named_parameters():
        weight.requires_grad_(trained[name])
    outcomes = []
    for other in (started, create(rule)):
        torch.manual_seed(0)
        other.gradients(objective(model), batch, None)
        outcomes.append(collected(model))
    assert outcomes[0]["backbone.layers.0.0.weight_hh"].abs().sum() > 0
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=0, atol=0)
