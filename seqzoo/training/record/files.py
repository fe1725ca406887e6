"""The files of a run directory, and how they are read and written. This module does not import torch, so that `seqzoo
compare` starts quickly.

config.yaml  spec.json  train.log  curves.jsonl  metrics.json  events.out.tfevents...  trace.json  .lock
projector_config.pbtxt  embeddings.tsv  tokens.tsv  checkpoints/{last.pt,best.safetensors}

A run directory may come from an untrusted source: only plain data of limited size is read, and links are not followed.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from reprlib import repr as quoted
from typing import Any, BinaryIO, TypeAlias, TypeGuard

from seqzoo.contracts import disk
from seqzoo.contracts.errors import CheckpointError, closest
from seqzoo.contracts.locks import holder, lock
from seqzoo.contracts.options import Options
from seqzoo.training.record.older import grouped, with_learning_rule

CONFIG, SPEC, LOG, CURVES, METRICS = "config.yaml", "spec.json", "train.log", "curves.jsonl", "metrics.json"
TRACE, LOCK = "trace.json", ".lock"
PROJECTOR, VECTORS, TOKENS = "projector_config.pbtxt", "embeddings.tsv", "tokens.tsv"
CHECKPOINTS = "checkpoints"
LAST, BEST = f"{CHECKPOINTS}/last.pt", f"{CHECKPOINTS}/best.safetensors"
WRITTEN = (CONFIG, SPEC, LOG, CURVES, METRICS, TRACE, LOCK, PROJECTOR, VECTORS, TOKENS, LAST, BEST)
EVENTS = "events.out.tfevents."
GROUPS = ("cell", "backbone", "encoder", "task", "data", "training")
SECTIONS = {"choices": dict, "overrides": list, "seed": int, **dict.fromkeys(GROUPS, dict)}
NEWER = ("learning", "budget")  # sections that runs of older versions do not have
CHOSEN = ("cell", "backbone", "task", "data")

MEBIBYTE = 2**20
LARGEST = {CONFIG: MEBIBYTE, METRICS: 64 * MEBIBYTE, SPEC: 512 * MEBIBYTE, CURVES: 512 * MEBIBYTE}
LARGEST_EVENTS = 2048 * MEBIBYTE
LARGEST_CHECKPOINT = 1024**2 * MEBIBYTE
"""Maximum sizes of files, in bytes."""
DEEPEST = 40
"""Maximum depth of nested lists and mappings."""
LONGEST_NUMBER = 40
"""Maximum number of characters of a number."""
MOST_VALUES = 3_000_000
"""Maximum number of values of a JSON file: a confusion matrix of a thousand classes has a million."""
MOST_SIBLINGS = 1_000
"""Maximum number of run directories that are looked at for one of a similar name."""
MOST_EVENTS = 20_000
"""Maximum number of parse events of a YAML document; a configuration has hundreds."""


Metrics: TypeAlias = dict[str, Any]
"""The content of metrics.json: scores by the names of splits and metrics, costs, times, versions and the baseline.
Scores that are not finite are None. Of an evaluation: the scores of one split, and a report."""


def read_config(folder: Path) -> Options:
    """The resolved configuration of a run.

    Raises:
        CheckpointError: the folder is not a run directory, or its configuration is damaged.
    """
    path = folder / CONFIG
    if not os.path.lexists(path):
        below = [path.parent for depth in ("*", "*/*") for path in islice(folder.glob(f"{depth}/{CONFIG}"), 3)]
        advice = f"; run directories below it: {', '.join(map(str, sorted(below)[:3]))}" if below else ""
        if not folder.exists():
            beside = islice(folder.parent.glob(f"*/{CONFIG}"), MOST_SIBLINGS)
            advice = closest(folder.name, (path.parent.name for path in beside))
            raise CheckpointError(f"{folder} is not a run directory: there is no such folder{advice}")
        raise CheckpointError(f"{folder} is not a run directory: there is no {CONFIG} in it{advice}")
    import yaml

    try:
        config = _load_yaml(_read(path).decode())
    except (yaml.YAMLError, ValueError, LookupError) as error:
        raise CheckpointError(f"{path} cannot be read as a configuration: {' '.join(str(error).split())}") from error
    fault = _fault_of_plain_data(config) or _fault_of_configuration(config)
    if fault:
        raise CheckpointError(f"{path} is not a configuration of seqzoo: {fault}")
    return with_learning_rule(grouped(config))


def _fault_of_configuration(config: Any) -> str:
    """What is wrong with the sections of a configuration; empty if they are valid."""
    if not isinstance(config, dict):
        return "it is not a mapping"
    for name, kind in {**SECTIONS, **{name: dict for name in NEWER if name in config}}.items():
        if not isinstance(config.get(name), kind) or isinstance(config[name], bool):
            return f"its {name} is {quoted(config[name])}" if name in config else f"it has no {name}"
    choices, overrides = config["choices"], config["overrides"]
    chosen = [*CHOSEN, "learning"] if "learning" in config else CHOSEN
    for group in [*chosen, *choices]:
        if not isinstance(choices.get(group), str):
            return f"its choices.{group} is {quoted(choices.get(group))}"
    return "" if all(isinstance(text, str) for text in overrides) else f"its overrides are {quoted(overrides)}"


def _load_yaml(text: str) -> Any:
    """The value of a YAML document without aliases, which could expand a hundred bytes to a gigabyte."""
    import yaml

    depth = 0
    for count, event in enumerate(yaml.parse(text, _loader())):
        if count > MOST_EVENTS:
            raise yaml.YAMLError(f"it has more than {MOST_EVENTS:,} keys and values")
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(f"line {event.start_mark.line + 1} has an alias, which seqzoo never writes")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:  # the parser would overflow its stack
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} levels deep")
    return yaml.load(text, _loader())


@functools.cache
def _loader() -> Any:
    """A YAML loader of texts, short numbers, booleans, nulls, lists and mappings."""
    import yaml

    # the C loader is ten times as fast, where PyYAML was built with it
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def number(construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def short(loader: Any, node: Any) -> Any:
            if len(node.value) > LONGEST_NUMBER:
                raise yaml.YAMLError(f"line {node.start_mark.line + 1} has a number of {len(node.value):,} characters")
            return construct(loader, node)

        return short

    def without_repetition(loader: Any, node: Any) -> Any:
        keys: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    raise yaml.YAMLError(f"line {key.start_mark.line + 1} has {quoted(key.value)} a second time")
                keys.add(key.value)
        return default[tags["map"]](loader, node)

    default = base.yaml_constructors
    tags = {kind: f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "str", "seq", "map", "int", "float")}
    constructors = {tag: default[tag] for tag in (None, *tags.values())}
    for kind in ("int", "float"):
        constructors[tags[kind]] = number(default[tags[kind]])
    constructors[tags["map"]] = without_repetition
    return type("Loader", (base,), {"yaml_constructors": constructors})


def _fault_of_plain_data(value: Any, depth: int = 0) -> str:
    """Why a value is not plain data as seqzoo writes it; empty if it is."""
    if depth > DEEPEST:
        return f"it is nested more than {DEEPEST} levels deep"
    if isinstance(value, dict):
        keys = (_fault_of_plain_data(key) if isinstance(key, str) else f"{quoted(key)} is not a name" for key in value)
        return next(filter(None, keys), "") or _fault_of_plain_data(list(value.values()), depth)
    if isinstance(value, list):
        return next(filter(None, (_fault_of_plain_data(item, depth + 1) for item in value)), "")
    if isinstance(value, str):
        return "" if value.isascii() or _is_unicode(value) else f"{quoted(value)} has an unpaired surrogate"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "it has an integer of more than 64 bits"
    return "" if isinstance(value, int | float | None) else f"{quoted(value)} is neither a number nor a text"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    if not os.path.lexists(path):
        raise CheckpointError(f"{path.parent} has no {path.name}: the run did not get that far")
    text = _read(path)
    if text.count(b",") > MOST_VALUES:
        raise CheckpointError(f"{path} is damaged: it has more than {MOST_VALUES:,} values")
    try:
        content = json.loads(text, object_pairs_hook=_mapping)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    fault = _fault_of_plain_data(content) if isinstance(content, dict) else "it is not a mapping"
    if fault:
        raise CheckpointError(f"{path} is damaged: {fault}")
    return content


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises ValueError if it has a name twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has {quoted(next(name for name in names if names.count(name) > 1))} twice")
    return content


def read_curves(folder: Path) -> list[dict[str, float]]:
    """Read the learning curves of a run.

    Incomplete lines are skipped; a missing file has no points.

    Returns:
        Points in order: "step", "tokens", "seconds" (of training, with validation), and measurements such as
        "train/loss".

    Raises:
        CheckpointError: the file cannot be read.
    """
    if not os.path.lexists(folder / CURVES):
        return []
    points = []
    for line in _read(folder / CURVES).decode(errors="replace").splitlines():
        try:
            point = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(point, dict):
            numbers = {name: value for name, value in point.items() if is_number(value)}
            if isinstance(numbers.get("step"), int):
                points.append(numbers)
    return points


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value from JSON is a number that fits into 64 bits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not _fault_of_plain_data(value)


def is_baseline(stored: Any) -> bool:
    """Whether plain data is a baseline of `metrics.json`: name, description, seconds, and scores of splits."""
    if not isinstance(stored, dict) or not is_number(stored.get("seconds")):
        return False
    scores = stored.get("scores")
    if not isinstance(scores, dict) or not all(isinstance(values, dict) for values in scores.values()):
        return False
    numbers = [number for values in scores.values() for number in values.values()]
    return all(isinstance(stored.get(name), str) for name in ("name", "description")) and all(map(is_number, numbers))


def _read(path: Path) -> bytes:
    return read_bytes(path, LARGEST[path.name])


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes.

    Raises:
        CheckpointError: it cannot be read, or is larger.
    """
    try:
        return disk.read_bytes(path, limit)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A context that raises errors in writing a file of a run as CheckpointError."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch.save raises RuntimeError for a full disk
        kept = "its previous content is intact" if path.exists() else "it did not exist before"
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CheckpointError(
            f"{path} could not be written ({reason}); {kept}: resolve this, then continue with resume="
        ) from error


@contextmanager
def _claiming(folder: Path) -> Iterator[None]:
    """A context that raises CheckpointError if a run directory cannot be written to, before anything is changed."""
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        raise CheckpointError(
            f"{path} cannot be written ({error.strerror}), but a training writes into its run directory: change the "
            "permissions, or continue a copy of the directory"
        ) from error


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file completely or not at all.

    Args:
        path: of the file.
        write: called with a temporary file, which is renamed when it is complete.

    Raises:
        CheckpointError: it cannot be written; the previous content is then intact.
    """
    with writing(path):
        disk.write_whole(path, write)


def write_text(path: Path, text: str) -> None:
    """As `write_atomically`, with text."""
    with writing(path):
        disk.write_text(path, text)


def append(path: Path, text: str) -> None:
    """Append text to a file.

    Raises:
        CheckpointError: it cannot be written.
    """
    with writing(path):
        disk.append(path, text)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """A context in which this process has exclusive use of a run directory, which is created if it does not exist.

    Raises:
        CheckpointError: another process uses it, or there is a folder or link with the name of a file to be written.
    """
    with ExitStack() as stack:
        with _claiming(folder):
            disk.refuse_link(folder / CHECKPOINTS)
            for name in WRITTEN:
                disk.refuse_irregular(folder / name)
            acquired = stack.enter_context(lock(folder / LOCK))
        if not acquired:
            raise CheckpointError(
                f"{folder} is being trained by {holder(folder / LOCK)}: wait until it ends, or stop it, then resume"
            )
        for stale in (*folder.glob(f".*{disk.PART}"), *(folder / CHECKPOINTS).glob(f".*{disk.PART}")):
            stale.unlink()  # temporary files of a process that was killed
        yield
