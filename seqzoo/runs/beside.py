"""The best baseline beside a finished run: when it is fitted, how runs on the same data share it, and what it says."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

from seqzoo import baselines
from seqzoo.baselines import Baseline
from seqzoo.baselines.fitting import BaselineScores, fit_baselines
from seqzoo.configuration.experiment import Experiment
from seqzoo.configuration.recipe import AUTO, NONE, tailored
from seqzoo.contracts import disk
from seqzoo.contracts.cache import user_cache
from seqzoo.contracts.capabilities import AnswersNumbers
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import SeqzooError, program
from seqzoo.contracts.locks import lock
from seqzoo.contracts.parts import Task
from seqzoo.contracts.strict_json import to_json
from seqzoo.contracts.version import __version__
from seqzoo.data.sources.fingerprints import records
from seqzoo.runs.baseline_scores import Baselines, baselines_of, ranked
from seqzoo.runs.ending import STILL_IMPROVING
from seqzoo.training.evaluation import middle
from seqzoo.training.record.files import Metrics, is_baseline, write_text
from seqzoo.training.record.run import format_number

SHARE = 0.2
"""baseline=auto: the expected time of the baselines is at most this share of that of the training ..."""
SECONDS = 3.0
"""... or at most this many seconds."""
LARGEST = 100_000
"""Bytes of a stored result."""
FEW_EXAMPLES = 1_000


def beside(experiment: Experiment, data: DataModule, task: Task, seconds: float) -> tuple[BaselineScores | None, str]:
    """The best baseline for the data of a run, and a remark, which may be empty.

    Nothing that goes wrong here ends the run, which has been trained and scored.

    Args:
        experiment: the configuration of the run.
        data: as the run has loaded it.
        task: of its model.
        seconds: of its training.
    """
    try:
        available = baselines_of(data, task)
        if not available.ready or not _wanted(experiment, data, available.ready, seconds):
            return None, ""
        advice = [f"{other.name} needs {other.package}: {_install()}" for other in available.missing]
        return _shared(experiment, available), "; ".join(advice)
    except Exception as error:  # a baseline, or a part of the user's own that it calls
        reason = str(error) if isinstance(error, SeqzooError) else f"{type(error).__name__}: {error}"
        return None, f"the baseline could not be fitted ({' '.join(reason.split())[:200]})"


def _install() -> str:
    return f"{program('pip')} install 'seqzoo[baselines]'"


def _wanted(experiment: Experiment, data: DataModule, ready: Sequence[type[Baseline]], seconds: float) -> bool:
    if isinstance(experiment.baseline, bool):
        return experiment.baseline
    return bool(data.files) and expected_seconds(data, ready) <= max(SECONDS, SHARE * seconds)


def expected_seconds(data: DataModule, classes: Sequence[type[Baseline]]) -> float:
    """The time that baselines are expected to take, by the number of training tokens and the speed of each."""
    size = float(data.splits()["train"])
    if data.spec.kind != "language_modeling":  # whose examples are tokens
        size *= middle(data, "validation").lengths.double().mean().item()
    return sum(size / baseline.speed for baseline in classes)


def _shared(experiment: Experiment, available: Baselines) -> BaselineScores:
    """The best baseline, fitted once for all runs on the same files by the same options."""
    if not available.data.files or not all(
        _is_own(type(part)) for part in (available.data, available.task, *available.task.metrics())
    ):
        return _fitted(available)  # what they read or do may change without a trace
    path = user_cache("baselines") / f"{_key(experiment, available)}.json"
    with lock(path.with_suffix(".lock"), wait=True):
        stored = _read(path)
        if stored is None:
            stored = _fitted(available)
            write_text(path, to_json(stored.to_plain()) + "\n")
    return stored


def _fitted(available: Baselines) -> BaselineScores:
    scores = fit_baselines(available.data, available.task, available.ready)
    return ranked(available, [*scores])[-1]


def _is_own(part: type) -> bool:
    return part.__module__.startswith("seqzoo.")


def _key(experiment: Experiment, available: Baselines) -> str:
    """A name of all that the scores depend on: the content of files, options of the data, metrics, and code."""
    options = {name: value for name, value in experiment.to_plain()["data"].items() if name not in ("seed", "root")}
    sources = sorted(Path(baselines.__path__[0]).glob("*.py"))
    packages = {available.package for available in available.ready if available.package}
    what = {
        "options": options,
        "files": [(record["name"], record["fingerprint"]) for record in records(available.data)],
        "task": [
            type(available.task).__name__,
            available.task.loss_unit,
            *(metric.name for metric in available.task.metrics()),
        ],
        # which steps are answered depends on the options of the task
        "answers": experiment.to_plain()["task"] if isinstance(available.task, AnswersNumbers) else None,
        "baselines": [baseline.__name__ for baseline in available.ready],
        "packages": {name: importlib.metadata.version(name) for name in sorted(packages)},
        "code": [__version__, *(hashlib.sha256(source.read_bytes()).hexdigest() for source in sources)],
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def _read(path: Path) -> BaselineScores | None:
    """A stored result; None if there is none, or it is damaged."""
    with suppress(OSError, ValueError):
        stored = json.loads(disk.read_bytes(path, LARGEST))
        if is_baseline(stored):
            return BaselineScores(**{field.name: stored[field.name] for field in fields(BaselineScores)})
    return None


def verdict(metrics: Metrics, task: Task) -> str:
    """A sentence where the network does not beat the baseline; else empty.

    Args:
        metrics: of the run, with its baseline.
        task: whose metrics decide, on the test split if there is one: the first that differs, and finally the loss.
    """
    scores = metrics["baseline"]["scores"]
    better_if_higher = {metric.name: metric.higher_is_better for metric in task.metrics()} | {task.loss_name: False}
    for split in ("test", "validation"):
        mine, theirs = metrics.get(split, {}), scores.get(split, {})
        compared = [name for name in better_if_higher if name in mine and name in theirs]
        if not compared:
            continue
        decisive = next((name for name in compared if mine[name] != theirs[name]), compared[0])
        network, baseline = mine[decisive], theirs[decisive]
        if network != baseline and (network > baseline) == better_if_higher[decisive]:
            return ""
        numbers = f"{decisive} on {split} {network:.4f}, the baseline's {baseline:.4f}"
        return f"the network does not beat the baseline ({numbers})"
    return ""


def about_baseline(metrics: Metrics, remark: str, task: Task, advice: Callable[[], str]) -> list[tuple[str, str]]:
    """Rows of the table at the end of a run: the baseline and its scores, a remark, and what `verdict` says.

    Args:
        metrics: of the run.
        remark: of `beside`; may be empty.
        task: of the run.
        advice: called if the network does not beat the baseline; returns what to try next, or an empty string.
    """
    rows = []
    if "baseline" in metrics:
        best = metrics["baseline"]
        scores = "\n".join(
            f"{split} " + "  ".join(f"{name} {format_number(value)}" for name, value in values.items())
            for split, values in best["scores"].items()
        )
        rows.append(("baseline", f"{best['name']} ({best['description']}), {best['seconds']:.1f} s\n{scores}"))
        sentence = verdict(metrics, task)
        step = advice() if sentence else ""
        remarks = [f"{sentence}: {step}" if step else sentence, remark]
    else:
        remarks = [remark]
    return [*rows, *(("remark", text) for text in remarks if text)]


def next_step(experiment: Experiment, data: DataModule, updates: int, best_update: int | None, later_end: str) -> str:
    """What to try next if a network does not beat the baseline, from what the run shows; empty without a suggestion.

    Args:
        experiment: the configuration of the run.
        data: the data module, loaded.
        updates: number of updates.
        best_update: the one after which validation was best; None: the last weights were kept, whatever it was.
        later_end: an override that makes the training longer.
    """
    untuned = experiment.choices.get("experiment", NONE) == NONE
    if untuned and experiment.recipe == NONE and data.files and _recipe_chooses(experiment):
        return "choose the options that are not given from the training data by recipe=auto"
    if data.spec.text is not None and experiment.task.get("ngrams") == 0:
        return "mix the network with n-grams by task.ngrams=5"
    if best_update is not None and best_update >= STILL_IMPROVING * updates:
        return f"validation was still improving at the last update, so train for longer, for example {later_end}"
    inputs = data.spec.inputs
    if inputs is not None and inputs.unit == "words" and experiment.data.get("vectors", "") is None:
        return "start from pretrained word vectors by data.vectors=FILE"
    if data.splits()["train"] < FEW_EXAMPLES:
        return f"{data.splits()['train']:,} training examples are few for a network, so give more, or use the baseline"
    if best_update is not None and best_update <= 0.5 * updates:
        best = f"validation was best after {best_update:,} of {updates:,} updates and then worse"
        return f"{best}, so regularise, for example by task.dropout=0.5, or lower backbone.hidden_size"
    return ""


def _recipe_chooses(experiment: Experiment) -> bool:
    """Whether `recipe=auto` would choose an option that is not given."""
    with suppress(SeqzooError):  # its choices do not work together with what was given
        return bool(tailored(replace(experiment, recipe=AUTO))[1])
    return False
