"""What lies in a run directory, and how it is read back. Nothing here imports torch: comparing runs must start at once.

config.yaml  spec.json  train.log  curves.jsonl  metrics.json  events.out.tfevents...  trace.json
projector_config.pbtxt  embeddings.tsv  tokens.tsv  checkpoints/{last.pt,best.safetensors}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seqzoo.errors import CheckpointError
from seqzoo.training.older import grouped

CONFIG, SPEC, LOG, CURVES, METRICS = "config.yaml", "spec.json", "train.log", "curves.jsonl", "metrics.json"
TRACE = "trace.json"
LAST, BEST = "checkpoints/last.pt", "checkpoints/best.safetensors"
GROUPS = ("cell", "backbone", "encoder", "task", "data", "training")
SECTIONS = {"choices": dict, "overrides": list, "seed": int, **dict.fromkeys(GROUPS, dict)}
CHOSEN = ("cell", "backbone", "task", "data")


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration a run was started with, resolved. Raises CheckpointError where there is none."""
    import yaml

    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f"{folder} is no run directory: there is no {CONFIG} in it")
    # ten times as fast, where PyYAML was built with it
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), loader)
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read as a configuration: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} is no configuration of seqzoo: it holds no mapping")
    for name, kind in {**SECTIONS, **({"budget": dict} if "budget" in config else {})}.items():
        if not isinstance(config.get(name), kind):
            what = f"its {name} is {config[name]!r}" if name in config else f"it has no {name}"
            raise CheckpointError(f"{path} is no configuration of seqzoo: {what}")
    choices = config["choices"]
    if not (set(CHOSEN) <= choices.keys() and all(isinstance(name, str) for name in choices.values())):
        raise CheckpointError(f"{path} is no configuration of seqzoo: its choices are {choices!r}")
    return grouped(config)


def read_json(path: Path) -> dict[str, Any]:
    """Raises CheckpointError where the file is absent or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent} has no {path.name}: the run did not get that far") from error
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is damaged: it holds no mapping")
    return content


def read_curves(folder: Path) -> list[dict[str, float]]:
    """The points of a run's curves, oldest first: {"step", "tokens", "seconds", and what was measured: "train/loss"}.

    seconds: of training, validation included. A line that was cut while it was written is left out; without a file
    there are no points.
    """
    try:
        lines = (folder / CURVES).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    points = []
    for line in lines:
        try:
            point = json.loads(line)
        except ValueError:
            continue
        if isinstance(point, dict) and isinstance(point.get("step"), int):
            points.append({name: value for name, value in point.items() if isinstance(value, (int, float))})
    return points
