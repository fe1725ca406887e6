"""Random overrides, tried on the path of `seqzoo check`: composed, checked, built on the meta device and measured.

Of the configurations that are accepted, a share is built and takes one training step on generated data.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import torch

from seqzoo.configuration import composing, registry
from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.experiment import Experiment
from seqzoo.configuration.overrides import examine
from seqzoo.configuration.sizing import outline
from seqzoo.contracts.errors import LONGEST_SENTENCE, ConfigError, DataError, printable
from seqzoo.training.optimizer import build_optimizer
from tests.fuzz.driver import Case, Fault

QUICK = 15

TRAINED = 0.04
"""The share of the accepted configurations that takes a training step."""

LARGEST_TRAINED = 2**26
"""Bytes that such a step may take."""

COMBINATIONS = 120

GROUPS = ("cell", "backbone", "encoder", "data", "experiment", "debug")

VALUES = (
    "null", "true", "false", "0", "1", "2", "3", "7", "64", "-1", "0.0", "0.1", "0.5", "1.0", "-0.5", "1e-3", "1e9",
    "1000000000", "9223372036854775807", "9223372036854775808", "1" + "0" * 40, "9" * 4400, "1e300", "1e-300", "nan",
    "inf", "-inf", "", "''", '""', "[]", "{}", "[1]", "[1,2]", "[0.1,0.9]", "[x]", "[[1]]", "[null]", "{a: 1}",
    "{class: LSTM}", "{class: Recurrent, hidden_size: 3}", "lstm", "gru", "auto", "none", "mean", "ema", "plateau",
    "characters", "words", "bpe", "torchtext:x", "additive", "coverage", "span_f1", "[bleu,chrf]", "???", "*", "a b",
    "'a, b'", "é", "𝕏", "\u202e", "\x1b[31m", "\x00", "\ud800", "a\nb", "x" * 3000, "[" * 60 + "]" * 60, "[1," * 300,
    "${seed}", "${data.batch_size}", "${nothing}", "${backbone}", "${", "${oc.env:HOME}", "${oc.env:NOPE}",
    "${oc.env:NOPE,1}", "${now:%Y}", "${hydra:job.name}", "${run_name:a,b}", "${oc.decode:'[1'}", "${oc.create:{a:1}}",
    "${oc.select:x}", "1,2", "range(3)", "range(1,99999999)", "choice(a,b)", "interval(0,1)", "glob(*)", "tag(x)",
    "int(x)", "sort(3,1)", "shuffle(1,2)", "extend_list(1)", "cast(1)", "1e1000", "0x10", "1_000", "2026-01-01",
)  # fmt: skip

ODD = (
    "hydra/launcher=1e-8", "hydra/launcher=joblib", "hydra/job_logging=none", "hydra.run.dir=x", "hydra.run.dir=[1]",
    "hydra.searchpath=[pkg://x]", "hydra.mode=MULTIRUN", "hydra=null", "~hydra", "hydra.x=1", "hydra/x=y", "=", "==",
    "", " ", "~", "+", "a", "~seed", "~training", "~budget", "~allow_modules", "budget=null", "budget=1",
    "allow_modules=[os]", "allow_modules=os", "allow_modules=[.x]", "cell.class=os.PathLike", "cell.class=.x.Y",
    "backbone.class=Dense", "cell@backbone=lstm", "+cell@x=gru", "choices.cell=x", "overrides=[1]", "--config-dir=x",
    "task.search={beam_size: 2}", "backbone.hidden_size=[1,2,3]", "lr=0.1", "hidden_size=64", "cell.hidden_size=1",
)  # fmt: skip
MARKS = "[]{}()'\"$,:=\\ \t\n@~+*?<>|&;#%!^`.-_/é\x00"


def attempt(case: Case) -> None:
    overrides = [*_overrides(case.random)]
    case.note("overrides:", *map(repr, overrides))
    experiment, mistakes = examine(*overrides)
    if mistakes or experiment is None:
        _refuse(mistakes)
    assert experiment is not None
    measured = outline(experiment)
    if measured.cost.unknown or not all(map(math.isfinite, measured.cost[:-1])):
        raise Fault(f"the cost is {measured.cost}")
    if case.random.random() < TRAINED and measured.cost.training_bytes < LARGEST_TRAINED:
        _train_one_step(case, experiment)


def _refuse(mistakes: list[str]) -> None:
    told = ConfigError(mistakes)
    if not told.mistakes:
        raise Fault("there is neither a configuration nor a mistake")
    for sentence in told.mistakes:
        if not 10 < len(sentence) <= LONGEST_SENTENCE or printable(sentence) != sentence:
            raise Fault(f"a sentence of {len(sentence)} characters: {sentence!r}")
    raise ConfigError(told.mistakes[:3])


def _train_one_step(case: Case, experiment: Experiment) -> None:
    """Train one update on a little generated data."""
    case.note("trains")
    sizes = {name: min(8, experiment.data[name]) for name in _SIZES if name in experiment.data}
    if not sizes:
        return
    data = build_data(replace(experiment, data={**experiment.data, **sizes}))
    try:
        data.load()
    except DataError:  # so few examples may not be had
        return
    torch.manual_seed(0)
    model = build_model(experiment, data.spec)
    optimizer = build_optimizer(model, experiment.training)
    batch = next(iter(data.batches("train")))
    scores, _ = model.train()(batch)
    loss = model.task.loss(scores, batch)
    (loss.total / loss.count.clamp(min=1)).backward()
    optimizer.step()


_SIZES = ("train_size", "validation_size", "test_size", "batch_size", "evaluation_batch_size")


def _overrides(random: Random) -> Iterator[str]:
    chosen = _choices(random.randrange(COMBINATIONS))
    yield from chosen
    options = _options(*chosen) or _options(chosen[0])
    for _ in range(random.choice((0, 1, 1, 1, 2, 3))):
        yield _mutated(random, f"{random.choice(options)}={_value(random)}")
    if random.random() < 0.15:
        yield random.choice(ODD)


@functools.cache
def _choices(number: int) -> list[str]:
    """A task, and names of other groups; each combination is composed only once, which takes most of the time."""
    random = Random(number)
    chosen = [f"task={random.choice(registry.names('task'))}"]
    for group in random.sample(GROUPS, random.choice((0, 0, 1, 1, 2))):
        chosen.append(f"{group}={random.choice(registry.names(group))}")
    return chosen


@functools.cache
def _options(*overrides: str) -> list[str]:
    """The paths of all options of a configuration, and of its groups of options."""
    config, _ = composing.examine(*overrides)
    if config is None:
        return []
    sections = {name: value for name, value in config.items() if name not in ("choices", "overrides")}
    return [*_paths(sections)]


def _paths(options: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in options.items():
        yield f"{above}{name}"
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{name}.")


def _value(random: Random) -> str:
    kind = random.random()
    if kind < 0.7:
        return random.choice(VALUES)
    if kind < 0.9:
        return str(random.choice((random.randint(-3, 40), round(random.uniform(-1, 2), 2))))
    return f"[{','.join(random.choice(VALUES[:20]) for _ in range(random.randint(0, 4)))}]"


def _mutated(random: Random, override: str) -> str:
    """The override unchanged, or with a prefix, a misspelled key, or stray characters."""
    kind = random.random()
    if kind < 0.6:
        return override
    key, _, value = override.partition("=")
    if kind < 0.7:
        prefix = random.choice(("+", "++", "~", "+~", "+++"))
        return f"{prefix}{key}" if prefix == "~" and random.random() < 0.5 else f"{prefix}{key}={value}"
    if kind < 0.85:
        place = random.randrange(len(key))
        changed = random.choice((key[:place] + key[place + 1 :], key.upper(), key[:place], f"{key}.{key}", key[place:]))
        return f"{changed}={value}"
    place = random.randrange(len(override) + 1)
    marks = "".join(random.choices(MARKS, k=random.randint(1, 4)))
    return override[:place] + marks + override[place:]
