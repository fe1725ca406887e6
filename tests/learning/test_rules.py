"""Learning rules: backpropagation through time, a user-defined rule, and their content in checkpoints."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

import seqzoo
from seqzoo.contracts.batch import Batch, Loss, State
from seqzoo.contracts.errors import TrainingError
from seqzoo.contracts.state import flatten
from seqzoo.learning.bptt import BackpropagationThroughTime
from seqzoo.learning.rule import LearningRule, Objective
from seqzoo.training.loop import update
from seqzoo.training.record.checkpoint import load_training, unstorable
from seqzoo.training.session import Session
from tests.own_parts.spsa import Spsa

FOLDER = Path(__file__).parents[1] / "own_parts"
OWN = ("--config-dir", FOLDER / "conf")
SPSA = ("learning=spsa", "allow_modules=[spsa]")
SMALL = (
    "debug=tiny", "task=tagging", "cell=elman", "backbone.hidden_size=8", "data.train_size=64",
    "data.validation_size=8", "data.test_size=8", "training.schedule=constant",
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(FOLDER)
    yield
    sys.modules.pop("spsa", None)


def objective_and_batch() -> tuple[Objective, Batch]:
    """A small model in float64 without dropout, and its first batch."""
    model, data = seqzoo.build(*SMALL, "cell.engine=reference")
    return Objective(model.double().eval(), nullcontext, lambda tensor: tensor), next(data.batches("train"))


def gradients(objective: Objective) -> list[Tensor]:
    """The gradients of all weights, which are then reset."""
    collected = [weight.grad for weight in objective.model.parameters()]
    objective.model.zero_grad()
    return collected


def test_bptt_gives_the_gradient_and_a_state_without_one() -> None:
    objective, batch = objective_and_batch()
    rule = BackpropagationThroughTime()
    loss, state = rule.gradients(objective, batch, None)
    assert not loss.total.requires_grad
    assert not any(part.requires_grad for part in flatten(state))
    own = gradients(objective)
    scores, _ = objective.model(batch)
    total = objective.model.task.loss(scores, batch).total
    expected = torch.autograd.grad(total, list(objective.model.parameters()), allow_unused=True)
    torch.testing.assert_close(own, list(expected))

    carried, _ = rule.gradients(objective, batch, state)
    assert carried.total == objective.loss(batch, state)[0].total
    anew, _ = BackpropagationThroughTime(carry_state=False).gradients(objective, batch, state)
    assert anew.total == loss.total != carried.total


def test_spsa_projects_the_gradient_onto_its_direction() -> None:
    objective, batch = objective_and_batch()
    BackpropagationThroughTime().gradients(objective, batch, None)
    exact = torch.cat([gradient.flatten() for gradient in gradients(objective)])
    before = [weight.clone() for weight in objective.model.parameters()]
    Spsa(directions=1, perturbation=1e-3).gradients(objective, batch, None)
    estimate = torch.cat([gradient.flatten() for gradient in gradients(objective)])
    direction = estimate.sign()
    torch.testing.assert_close(estimate, (exact @ direction) * direction, rtol=0.01, atol=0.01)
    torch.testing.assert_close([*objective.model.parameters()], before, rtol=0, atol=0)


def test_a_rule_of_ones_own_trains_and_continues_bit_for_bit(command: Callable, tmp_path: Path) -> None:
    refused = command("check", *OWN, "learning=spsa", *SMALL)
    assert "learning.class is 'spsa.Spsa', outside seqzoo: if you trust it" in refused.err
    wrong = command("check", *OWN, *SPSA, *SMALL, "learning.directions=many")
    assert wrong.err == "seqzoo: learning.directions is 'many': it must be an integer\n"

    whole = command("train", *OWN, *SPSA, *SMALL, "training.steps=6", "hydra.run.dir=whole")
    assert whole.status == 0, whole.err
    assert re.search(r"^  learning +spsa$", whole.out, re.MULTILINE)
    assert command("train", *OWN, *SPSA, *SMALL, "training.steps=3", "hydra.run.dir=parts").status == 0
    assert load_training(tmp_path / "parts/checkpoints/last.pt")["rule"] == {"batches": 3}
    resumed = command("train", *OWN, "resume=parts", SPSA[1], "training.steps=6")
    assert resumed.status == 0, resumed.err
    parts, uncut = (load_training(tmp_path / name / "checkpoints/last.pt") for name in ("parts", "whole"))
    assert parts["rule"] == uncut["rule"] == {"batches": 6}
    torch.testing.assert_close(parts["model"], uncut["model"], rtol=0, atol=0)


def test_a_rule_remembers_what_a_checkpoint_can_hold() -> None:
    model, _ = seqzoo.build(*SMALL)
    settings = seqzoo.compose(*SMALL).training
    for content in ([1], {"rule": model}, {"sums": [torch.zeros(2), len]}):
        rule = BackpropagationThroughTime()
        rule.content = lambda content=content: content
        with pytest.raises(TrainingError, match=r"BackpropagationThroughTime.content returns what no checkpoint"):
            Session(model, settings, torch.device("cpu"), 2, rule=rule).content()


def test_what_a_checkpoint_lacks_of_a_rule_is_told(command: Callable, tmp_path: Path) -> None:
    assert command("train", *OWN, *SPSA, *SMALL, "training.steps=2", "hydra.run.dir=run").status == 0
    last = tmp_path / "run/checkpoints/last.pt"
    unfinished = command("check", *OWN, "learning.class=LearningRule", "~learning.carry_state", *SMALL)
    assert "learning.class is 'LearningRule', which does not define gradients" in unfinished.err
    for content, reason in (({}, "it has no 'batches'"), (None, "rule is a NoneType")):
        torch.save({**load_training(last), "rule": content}, last)
        resumed = command("train", *OWN, "resume=run", SPSA[1], "training.steps=4")
        assert (resumed.status, reason in resumed.err) == (2, True), resumed.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"mean": torch.tensor([0.0, torch.nan])}, r"it\['mean'\] is a tensor with NaN"),
        ({"sums": [0.5, numpy.float64(0.5)]}, r"it\['sums'\]\[1\] is a numpy.float64, none of"),
        ({"trace": torch.zeros(1).expand(5)}, r"it\['trace'\] is a view that repeats its numbers"),
        ({"seen": {(1, 2): 0}}, r"it\['seen'\] has the key \(1, 2\)"),
    ],
)
def test_what_could_not_be_resumed_is_not_saved(content: dict, reason: str) -> None:
    assert re.fullmatch(rf"{reason}.*", unstorable(content, "it"))
    assert unstorable({"sums": [1, 0.5, "a", None, (torch.ones(2), {3: True})]}, "it") == ""


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (lambda loss, state: (Loss(loss.total.detach(), loss.count), state), "gradients gave no weight a gradient"),
        (lambda loss, state: loss.total, "gradients returned Tensor"),
        (lambda loss, state: None, "gradients returned NoneType None"),
    ],
)
def test_a_rule_without_gradients_or_a_loss_ends_at_the_first_update(returned: Callable, reason: str) -> None:
    class Idle(LearningRule):
        def gradients(self, objective: Objective, batch: Batch, state: State | None) -> Any:
            return returned(*objective.loss(batch, state))

    model, data = seqzoo.build(*SMALL)
    session = Session(model, seqzoo.compose(*SMALL).training, torch.device("cpu"), 2, rule=Idle())
    with pytest.raises(TrainingError, match=rf"Idle\.{reason}"):
        update(session, [next(data.batches("train"))], False)
