"""Where numbers come from: hardware, revision, and the configuration as TensorBoard's HParams page wants it."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqzoo.contracts.options import Options
from seqzoo.training.record.older import BPTT

if TYPE_CHECKING:
    import torch

    from seqzoo.configuration.experiment import Experiment

# options that cannot change a score
HOUSEKEEPING = {"log_every", "save_every", "examples", "diagnostics", "profile", "device", "threads", "source", "root"}


def hardware(device: torch.device) -> str:
    """What the numbers of a run were measured on."""
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
    """The revision of the checkout that seqzoo runs from; None without a checkout.

    -dirty says that code or configurations differ from it; results and pages do not count.
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


def hyperparameters(experiment: Experiment, parameters: int) -> dict[str, Any]:
    """The configuration, flat and without the seed: one column each on the HParams page."""
    flat: dict[str, Any] = {group: experiment.choices[group] for group in ("cell", "backbone", "task", "data")}
    flat["parameters"] = parameters

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
    """A name of all that can change the scores of a run: its configuration, budget and seed."""
    plain = experiment.to_plain()
    return _digest(_scored(experiment) | {name: plain[name] for name in ("budget", "seed", "allow_modules")}, 16)


def group_name(experiment: Experiment) -> str:
    """One name for the seeds of a configuration."""
    learned = _learned(experiment)
    learned["data"] = {key: value for key, value in learned["data"].items() if key != "seed"}
    learned["training"] = _without_housekeeping(learned["training"])
    budget = {name: value for name, value in vars(experiment.budget).items() if name != "tolerance" and value}
    if budget:
        learned["budget"] = budget
    if budget.keys() & {"parameters", "flops"}:
        # seeds may read different vocabularies, and then a budget gives them different widths
        learned = _without_width(learned, learned["backbone"].get("hidden_size"))
    # TensorBoard's HParams page shows how a name begins
    chosen = (experiment.choices[group] for group in ("cell", "backbone", "data"))
    return "_".join([*chosen, _digest(learned, 10)])


def _learned(experiment: Experiment) -> dict[str, Any]:
    """The plain sections that decide what is learned. The usual learning rule is left out, so that the name of a
    configuration is the one that it had when there was no other rule.
    """
    rule = [] if experiment.learning == BPTT else ["learning"]
    plain = experiment.to_plain()
    return {group: plain[group] for group in ("cell", "backbone", "encoder", "task", "data", *rule, "training")}


def _scored(experiment: Experiment) -> dict[str, Any]:
    """The options of each section that can change a score."""
    return {group: _without_housekeeping(options) for group, options in _learned(experiment).items()}


def _without_housekeeping(options: Options) -> Options:
    return {name: value for name, value in options.items() if name not in HOUSEKEEPING}


def _without_width(node: Options, width: Any) -> dict[str, Any]:
    return {
        key: _without_width(value, width) if isinstance(value, dict) else value
        for key, value in node.items()
        if key != "hidden_size" or value != width
    }


def _digest(plain: Options, length: int) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:length]
