"""The provenance of results: hardware, revision, and names of configurations."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqzoo.configuration.experiment import AUTO
from seqzoo.configuration.origin import read_origin
from seqzoo.contracts.options import Options
from seqzoo.training.record.older import BPTT

if TYPE_CHECKING:
    import torch

    from seqzoo.configuration.experiment import Experiment

# options that cannot change a score
HOUSEKEEPING = {"log_every", "save_every", "examples", "diagnostics", "profile", "device", "threads", "source", "root"}


def hardware(device: torch.device) -> str:
    """The name of the GPU or processor."""
    if device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """The Git revision of the checkout that seqzoo is imported from; None if it is not a checkout. The suffix -dirty
    means that code or configurations have uncommitted changes; other files are ignored.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        revision = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", "seqzoo", "conf", "scripts")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{revision}-dirty" if changed else revision


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def hyperparameters(experiment: Experiment, parameters: int) -> dict[str, bool | int | float | str]:
    """The configuration with dotted keys and without the seed, as columns of TensorBoard's HParams page."""
    flat: dict[str, bool | int | float | str] = {
        group: experiment.choices[group] for group in ("cell", "backbone", "task", "data")
    }
    flat["parameters"] = parameters
    if experiment.init is not None:
        flat["init"] = experiment.init

    def add(prefix: str, node: Options) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                add(f"{prefix}{key}.", value)
            elif key not in ("class", "seed"):
                flat[prefix + key] = value if isinstance(value, (bool, int, float, str)) else str(value)

    for group, options in _scored(experiment).items():
        add(f"{group}.", options)
    return flat


def fingerprint(experiment: Experiment) -> str:
    """A digest of everything that can change the scores of a run: configuration, budget, seed and, with `init`, the
    weights that it starts from, whatever their folder is called.
    """
    plain = experiment.to_plain()
    chosen = {} if experiment.recipe is None else {"recipe": experiment.recipe}
    if experiment.init is not None:
        chosen["init"] = (experiment.origin or {}).get("sha256") or read_origin(experiment.init).sha256
    others = {name: plain[name] for name in ("budget", "seed", "allow_modules")}
    return _digest({**_scored(experiment), **others, **chosen}, 16)


def group_name(experiment: Experiment) -> str:
    """A name that is the same for all seeds and folds of a configuration."""
    learned: dict[str, Any] = {**_learned(experiment)}
    folds = experiment.data.get("folds") is not None
    learned["data"] = {
        key: value for key, value in learned["data"].items() if key != "seed" and not (folds and key == "fold")
    }
    learned["training"] = _without_housekeeping(learned["training"])
    if experiment.ensemble > 1:
        learned["ensemble"] = experiment.ensemble
    if experiment.init is not None:
        learned["init"] = experiment.init
    budget = {name: value for name, value in vars(experiment.budget).items() if name != "tolerance" and value}
    if budget:
        learned["budget"] = budget
    if budget.keys() & {"parameters", "flops"}:
        # vocabularies may differ between seeds, and so may the width that meets a budget
        learned = {**_without_width(learned, learned["backbone"].get("hidden_size"))}
    if folds and experiment.recipe == AUTO:
        # the recipe chooses by the training examples of the fold
        learned = {"given": sorted(text for text in experiment.overrides if _is_learned(text))}
    # TensorBoard's HParams page only shows the beginning of a name
    chosen = (experiment.choices[group] for group in ("cell", "backbone", "data"))
    return "_".join([*chosen, _digest(learned, 10)])


def _is_learned(override: str) -> bool:
    """Whether an override distinguishes configurations, not their seeds, folds or places."""
    path = override.partition("=")[0].lstrip("+~")
    option = path.rpartition(".")[2]
    return option not in (*HOUSEKEEPING, "seed", "fold", "baseline") and not path.startswith("hydra.")


def _learned(experiment: Experiment) -> Mapping[str, Options]:
    """The sections that determine what is learned. The default learning rule is omitted, so that names are the same as
    before rules were options.
    """
    rule = [] if experiment.learning == BPTT else ["learning"]
    plain = experiment.to_plain()
    return {group: plain[group] for group in ("cell", "backbone", "encoder", "task", "data", *rule, "training")}


def _scored(experiment: Experiment) -> Mapping[str, Options]:
    """The options of each section that can change a score."""
    return {group: _without_housekeeping(options) for group, options in _learned(experiment).items()}


def _without_housekeeping(options: Options) -> Options:
    return {name: value for name, value in options.items() if name not in HOUSEKEEPING}


def _without_width(node: Options, width: int | None) -> Options:
    return {
        key: _without_width(value, width) if isinstance(value, dict) else value
        for key, value in node.items()
        if key != "hidden_size" or value != width
    }


def _digest(plain: Options, length: int) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:length]
