"""What a run directory holds, and how it is read and written. Nothing here imports torch: comparing starts at once.

config.yaml  spec.json  train.log  curves.jsonl  metrics.json  events.out.tfevents...  trace.json  .lock
projector_config.pbtxt  embeddings.tsv  tokens.tsv  checkpoints/{last.pt,best.safetensors}

A run directory may come from anybody: what is read is plain data within bounds, and nothing is read or written through
a link.
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
from typing import Any, BinaryIO, TypeGuard

from seqzoo.contracts import disk
from seqzoo.contracts.errors import CheckpointError
from seqzoo.contracts.locks import holder, lock
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
"""Bytes that a file may have."""
DEEPEST = 40
"""Levels of lists and mappings in each other."""
LONGEST_NUMBER = 40
"""Characters of a number."""
MOST_VALUES = 3_000_000
"""In a JSON file: a table of confusions among a thousand classes has a million."""
MOST_EVENTS = 20_000
"""Parts of a YAML document: values, keys, beginnings and ends of lists and mappings. A configuration has hundreds."""


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration a run was started with, resolved. Raises CheckpointError where there is none."""
    path = folder / CONFIG
    if not os.path.lexists(path):
        below = [path.parent for depth in ("*", "*/*") for path in islice(folder.glob(f"{depth}/{CONFIG}"), 3)]
        advice = f"; below it there is {', '.join(map(str, sorted(below)[:3]))}" if below else ""
        raise CheckpointError(f"{folder} is not a run directory: there is no {CONFIG} in it{advice}")
    import yaml

    try:
        config = _load_yaml(_read(path).decode())
    except (yaml.YAMLError, ValueError, LookupError) as error:
        raise CheckpointError(f"{path} cannot be read as a configuration: {' '.join(str(error).split())}") from error
    wrong = _not_plain(config) or _not_a_configuration(config)
    if wrong:
        raise CheckpointError(f"{path} is not a configuration of seqzoo: {wrong}")
    return with_learning_rule(grouped(config))


def _not_a_configuration(config: Any) -> str:
    """What the sections of a configuration lack; an empty text where there is nothing wrong."""
    if not isinstance(config, dict):
        return "it holds no mapping"
    for name, kind in {**SECTIONS, **{name: dict for name in NEWER if name in config}}.items():
        if not isinstance(config.get(name), kind) or isinstance(config[name], bool):
            return f"its {name} is {quoted(config[name])}" if name in config else f"it has no {name}"
    choices, overrides = config["choices"], config["overrides"]
    if not (set(CHOSEN) <= choices.keys() and all(isinstance(name, str) for name in choices.values())):
        return f"its choices are {quoted(choices)}"
    return "" if all(isinstance(text, str) for text in overrides) else f"its overrides are {quoted(overrides)}"


def _load_yaml(text: str) -> Any:
    """The value of a YAML document. Aliases, which seqzoo never writes, could make a gigabyte of a hundred bytes."""
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
        if depth > DEEPEST:  # the parser would run out of its stack
            raise yaml.YAMLError(f"it is nested more than {DEEPEST} levels deep")
    return yaml.load(text, _loader())


@functools.cache
def _loader() -> Any:
    """A loader of texts, short numbers, booleans, nulls, lists and mappings."""
    import yaml

    # ten times as fast, where PyYAML was built with it
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def number(construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def short(loader: Any, node: Any) -> Any:
            if len(node.value) > LONGEST_NUMBER:
                raise yaml.YAMLError(f"line {node.start_mark.line + 1} has a number of {len(node.value):,} characters")
            return construct(loader, node)

        return short

    known = base.yaml_constructors
    tags = {kind: f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "str", "seq", "map", "int", "float")}
    constructors = {tag: known[tag] for tag in (None, *tags.values())}
    for kind in ("int", "float"):
        constructors[tags[kind]] = number(known[tags[kind]])
    return type("Loader", (base,), {"yaml_constructors": constructors})


def _not_plain(value: Any, depth: int = 0) -> str:
    """What of a value JSON could not hold, or no number of seqzoo is; an empty text where there is nothing wrong."""
    if depth > DEEPEST:
        return f"it is nested more than {DEEPEST} levels deep"
    if isinstance(value, dict):
        keys = (_not_plain(key) if isinstance(key, str) else f"{quoted(key)} is not a name" for key in value)
        return next(filter(None, keys), "") or _not_plain(list(value.values()), depth)
    if isinstance(value, list):
        return next(filter(None, (_not_plain(item, depth + 1) for item in value)), "")
    if isinstance(value, str):
        return "" if value.isascii() or _is_unicode(value) else f"{quoted(value)} has half of a character (a surrogate)"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "it has a whole number of more than 64 bits"
    return "" if isinstance(value, int | float | None) else f"{quoted(value)} is neither a number nor a text"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_json(path: Path) -> dict[str, Any]:
    """Raises CheckpointError where the file is absent or damaged."""
    if not os.path.lexists(path):
        raise CheckpointError(f"{path.parent} has no {path.name}: the run did not get that far")
    text = _read(path)
    if text.count(b",") > MOST_VALUES:
        raise CheckpointError(f"{path} is damaged: it has more than {MOST_VALUES:,} values")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    wrong = _not_plain(content) if isinstance(content, dict) else "it holds no mapping"
    if wrong:
        raise CheckpointError(f"{path} is damaged: {wrong}")
    return content


def read_curves(folder: Path) -> list[dict[str, float]]:
    """The points of a run's curves, oldest first: {"step", "tokens", "seconds", and what was measured: "train/loss"}.

    seconds: of training, validation included. A line that was cut while it was written is left out; without a file
    there are no points. Raises CheckpointError where the file cannot be read.
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
    """Whether a value from JSON is a number, and a whole one has 64 bits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not _not_plain(value)


def _read(path: Path) -> bytes:
    return read_bytes(path, LARGEST[path.name])


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a file of up to `limit` bytes. Raises CheckpointError where it cannot be read."""
    try:
        return disk.read_bytes(path, limit)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises CheckpointError where what is done inside cannot write a file of a run."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch.save turns a full disk into a RuntimeError
        kept = "the one written before is intact" if path.exists() else "there was none before"
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CheckpointError(
            f"{path} could not be written ({reason}); {kept}: make that possible, then continue with resume="
        ) from error


@contextmanager
def _claiming(folder: Path) -> Iterator[None]:
    """Raises CheckpointError where a run directory cannot be written to. Nothing in it has been changed by then."""
    try:
        yield
    except OSError as error:
        path = error.filename or folder
        raise CheckpointError(
            f"{path} cannot be written ({error.strerror}), and a training writes into its run directory: make that "
            "possible, or continue a copy of the directory"
        ) from error


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """`write` fills a temporary file beside `path`, which takes the name only when it is whole and on the disk.

    Raises CheckpointError when the disk does not take it; what `path` held before is then still there.
    """
    with writing(path):
        disk.write_whole(path, write)


def write_text(path: Path, text: str) -> None:
    """`write_atomically`, of text."""
    with writing(path):
        disk.write_text(path, text)


def append(path: Path, text: str) -> None:
    """Add text to a file. Raises CheckpointError when the disk does not take it."""
    with writing(path):
        disk.append(path, text)


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Have a run directory, made where there is none, for this process alone.

    Raises CheckpointError while another process has it, and where the place of a file that seqzoo will write is taken
    by something else: before anything is computed in vain.
    """
    with ExitStack() as stack:
        with _claiming(folder):
            disk.refuse_link(folder / CHECKPOINTS)
            for name in WRITTEN:
                disk.refuse_others(folder / name)
            is_mine = stack.enter_context(lock(folder / LOCK))
        if not is_mine:
            raise CheckpointError(
                f"{folder} is being trained by {holder(folder / LOCK)}: wait until it ends, or stop it, then resume"
            )
        for stale in (*folder.glob(f".*{disk.PART}"), *(folder / CHECKPOINTS).glob(f".*{disk.PART}")):
            stale.unlink()  # left behind by a process that was killed
        yield
