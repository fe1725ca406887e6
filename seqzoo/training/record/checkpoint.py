"""Checkpoints, which are written atomically and cannot run code when they are read.

`last.pt` contains all that is needed to resume a training, in one file, so that its parts are consistent.
`best.safetensors` contains the weights. Both consist of tensors and plain data.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import safetensors
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from seqzoo.contracts import disk
from seqzoo.contracts.errors import CheckpointError, first_line, program
from seqzoo.contracts.own_parts import failure_of_own_part
from seqzoo.training.record.files import CHECKPOINTS, CONFIG, LARGEST_CHECKPOINT, LAST, METRICS, write_atomically
from seqzoo.training.record.older import renamed

FORMAT = "seqzoo-checkpoint-1"
Checkpoint: TypeAlias = dict[str, Any]
"""The content of last.pt by parts, such as "model" and "optimizer": tensors and plain data. `Session` checks and
restores them."""
DEEPEST = 32
"""Maximum number of lists and mappings inside each other in what a learning rule saves."""


def save_training(path: Path, content: Checkpoint) -> None:
    """Save the state of a training: tensors, numbers, texts, and lists, tuples and mappings of them."""
    write_atomically(path, lambda file: torch.save({"format": FORMAT, **content}, file))


def unstorable(value: Any, name: str, depth: int = 0) -> str:
    """Why `load_training` would refuse a value, as a clause that names the part of it; empty: it can be stored."""
    if isinstance(value, Tensor):
        if type(value) not in (Tensor, nn.Parameter) or value.is_meta or value.layout != torch.strided:
            return f"{name} is a {type(value).__name__} of layout {value.layout} on {value.device}, not a plain tensor"
        if value.is_quantized or not _is_whole(value):
            return f"{name} is a view that repeats its numbers, or quantized: save a copy, as of .clone()"
        return f"{name} is a tensor with NaN" if value.isnan().any() else ""
    if value is None or type(value) in (bool, int, float, str):
        return ""
    if type(value) not in (list, tuple, dict):
        return (
            f"{name} is a {type(value).__module__}.{type(value).__qualname__}, none of tensors, numbers, texts, and "
            "lists, tuples and mappings of them"
        )
    if depth == DEEPEST:
        return f"{name} is nested more than {DEEPEST} deep"
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        if type(key) not in (int, str):
            return f"{name} has the key {key!r:.60}, which must be a text or an integer"
        reason = unstorable(part, f"{name}[{key!r:.60}]", depth + 1)
        if reason:
            return reason
    return ""


def load_training(path: Path) -> Checkpoint:
    """Load what `save_training` wrote, on the CPU.

    Raises:
        CheckpointError: the file is damaged or of another program, or has NaN in its tensors.
    """
    with _reading(path) as file:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            # compressed or overlapping parts could expand to a thousand times the size of the file
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or _size(parts) > _end(file):
                raise CheckpointError(f"{path} is damaged or not a checkpoint of seqzoo (its parts are compressed)")
            damaged = archive.testzip()
        if damaged:
            raise CheckpointError(f"{path} is damaged (in {damaged}): start the run anew, or take a copy of the file")
        file.seek(0)
        content = torch.load(file, map_location="cpu", weights_only=True)
        if not all(map(_is_whole, _tensors(content))):
            raise CheckpointError(f"{path} is damaged or not a checkpoint of seqzoo (a tensor is larger than the file)")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of this version of seqzoo: its format is not {FORMAT}")
    for part in ("optimizer", "averaging", "state", "rule", "running"):  # `fill` checks the weights
        if any(tensor.isnan().any() for tensor in _tensors(content.get(part))):
            raise CheckpointError(
                f"{path} cannot be used: its {part} has NaN; take an earlier copy, or train again with a lower "
                "training.learning_rate"
            )
    return content


def _is_whole(tensor: Tensor) -> bool:
    """Whether a tensor stores all of its elements: strides of 0 could make a billion of one number."""
    if tensor.layout != torch.strided or tensor.is_quantized:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (list, tuple, dict)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _tensors(part)


@contextmanager
def continuing(path: Path) -> Iterator[None]:
    """A context that raises errors in using the content of a checkpoint as CheckpointError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        failure = failure_of_own_part(error)
        if isinstance(error, KeyError):
            reason = f"it has no {error}"
        else:
            reason = first_line(error)[:200] if failure is None else failure.sentence
        raise CheckpointError(f"{path} does not hold what a training continues from: {reason}") from error


def mapping(content: Checkpoint, name: str) -> dict[Any, Any]:
    """A part of a checkpoint that must be a mapping.

    Raises:
        ValueError: it is something else.
        KeyError: it is missing.
    """
    if not isinstance(content[name], dict):
        raise ValueError(f"{name} is a {type(content[name]).__name__}, not a mapping")
    return content[name]


def check_form(value: Any, like: Any, name: str) -> None:
    """Check that a value has the same types, names, shapes and lengths as another one.

    Args:
        value: from a checkpoint.
        like: what this training would have saved in its place.
        name: of the value, for the message.

    Raises:
        ValueError: it does not.
    """
    if isinstance(like, float) and type(value) is int:
        return
    if type(value) is not type(like):
        raise ValueError(f"{name} is a {type(value).__name__}, not a {type(like).__name__}")
    if isinstance(like, Tensor):
        if (value.shape, value.dtype) != (like.shape, like.dtype):
            kinds = " not ".join(f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in (value, like))
            raise ValueError(f"{name} is {kinds}")
    elif isinstance(like, dict):
        if value.keys() != like.keys():
            raise ValueError(f"{name} has {', '.join(map(str, value))}, not {', '.join(map(str, like))}")
        for key in like:
            check_form(value[key], like[key], f"{name}.{key}")
    elif isinstance(like, list | tuple):
        if len(value) != len(like):
            raise ValueError(f"{name} has {len(value)} values, not {len(like)}")
        for number, (part, other) in enumerate(zip(value, like, strict=True)):
            check_form(part, other, f"{name}[{number}]")


def _size(parts: list[zipfile.ZipInfo]) -> int:
    return sum(part.file_size for part in parts)


def _end(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """Open a checkpoint. Errors, also while it is read, are raised as CheckpointError."""
    if not os.path.lexists(path):
        raise CheckpointError(f"there is no checkpoint {path}{_advice_if_missing(path)}")
    try:
        if path.parent.name == CHECKPOINTS:
            disk.refuse_link(path.parent)  # the folder of checkpoints in a run directory
        with disk.open_to_read(path, LARGEST_CHECKPOINT) as file:
            yield file
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # torch, zipfile and safetensors raise many kinds for a file that is not theirs
        raise CheckpointError(f"{path} is damaged or not a checkpoint of seqzoo ({first_line(error)[:200]})") from error


def _advice_if_missing(path: Path) -> str:
    """What to do if a checkpoint of a run is missing, for the end of a sentence; empty outside a run directory."""
    folder = path.parent.parent
    if (folder / METRICS).exists():
        return ": restore it from a copy, or train again; seqzoo compare needs no checkpoints"
    if (folder / LAST).exists():
        return f": the run has not reached a validation; to continue it: {program('seqzoo')} train resume={folder}"
    return ": the run has not begun to train" if (folder / CONFIG).exists() else ""


def save_weights(path: Path, model: nn.Module, metadata: dict[str, str]) -> None:
    """Save the weights of a model, tied ones once. Equal weights and metadata give equal files."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            tensors[name] = tensor.detach().cpu().contiguous()
    content = save_tensors(tensors, {"format": FORMAT, "crc32": _checksum(tensors), **metadata})
    head, rest = _with_sorted_metadata(content)
    write_atomically(path, lambda file: file.writelines((head, rest)))


def _with_sorted_metadata(content: bytes) -> tuple[bytes, memoryview]:
    """The head of a safetensors file with sorted metadata, which the library writes in random order, and the rest.

    A file is the length of its header (8 bytes), the header in JSON, padded to a multiple of 8 bytes, and the tensors.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, memoryview(content)[start:]


def load_weights(path: Path, model: nn.Module) -> dict[str, str]:
    """Load what `save_weights` wrote into a model. Numbers in half precision, as of pretrained networks, are widened.

    Returns:
        The metadata that it was given.

    Raises:
        CheckpointError: the file is damaged, or of another model.
    """
    tensors, metadata = read_weights(path)
    types = {name: tensor.dtype for name, tensor in model.state_dict().items()}
    for name, tensor in tensors.items():
        if tensor.dtype == torch.float16:
            tensors[name] = tensor.to(types.get(name, tensor.dtype))
    fill(model, tensors, path)
    return metadata


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file of `save_weights` by name, as they are stored, and the metadata that it was given.

    Raises:
        CheckpointError: the file is damaged.
    """
    with _weights(path) as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    if metadata.pop("crc32", None) != _checksum(tensors):
        raise CheckpointError(f"{path} is damaged: its checksum does not match its content")
    del metadata["format"]
    return tensors, metadata


def shapes_of_weights(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors of a file of `save_weights` by name, without reading the tensors.

    Raises:
        CheckpointError: the file is damaged.
    """
    with _weights(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (not a mapping)


def check_weights(path: Path, model: nn.Module) -> None:
    """Check that the weights in a file are those of a model, which may be on the meta device, before it is allocated.

    Raises:
        CheckpointError: they are not.
    """
    _compare(model, shapes_of_weights(path), path)


@contextmanager
def _weights(path: Path) -> Iterator[Any]:
    """Open a file of `save_weights`."""
    # safetensors opens the path again, which `_reading` has checked to be a regular file
    with _reading(path), safetensors.safe_open(path, "pt") as file:
        if (file.metadata() or {}).get("format") != FORMAT:
            raise CheckpointError(f"{path} is not a checkpoint of this version of seqzoo: its format is not {FORMAT}")
        yield file


def fill(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Copy tensors into a model. The second name of a tied weight may be missing.

    Raises:
        CheckpointError: the model has other tensors, or some are not finite.
    """
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise CheckpointError(f"{path} is damaged: the weights of the model are not a mapping of tensors")
    _compare(model, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, path)
    tensors, current = renamed(tensors), model.state_dict()
    other = [name for name, tensor in tensors.items() if tensor.dtype != current[name].dtype]
    if other:
        dtypes = f"{tensors[other[0]].dtype}, not {current[other[0]].dtype}"
        raise CheckpointError(f"{path} belongs to another model: the numbers of {other[0]} are {dtypes}")
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    for name, tensor in tensors.items():
        # a buffer, such as a mask, may be infinite on purpose
        damaged = ~tensor.isfinite() if name in parameters else tensor.isnan()
        if damaged.any():
            raise CheckpointError(
                f"{path} cannot be used: {int(damaged.sum()):,} of the {tensor.numel():,} numbers of {name} are not "
                "finite; take an earlier copy, or train again with a lower training.learning_rate"
            )
    model.load_state_dict(tensors, strict=False)


def _compare(model: nn.Module, shapes: dict[str, tuple[int, ...]], path: Path) -> None:
    """Raise CheckpointError unless tensors of these names and shapes are those of a model."""
    shapes, expected = renamed(shapes), model.state_dict(keep_vars=True)
    present = {id(expected[name]) for name in shapes if name in expected}
    missing = [name for name in expected if name not in shapes and id(expected[name]) not in present]
    foreign = [name for name in shapes if name not in expected]
    other = [name for name, shape in shapes.items() if name in expected and tuple(expected[name].shape) != shape]
    if missing or foreign or other:
        raise CheckpointError(
            f"{path} belongs to another model: {len(missing)} tensors are missing, {len(foreign)} too many, "
            f"{len(other)} of another shape, {(missing + foreign + other)[0]} among them"
        )


def _checksum(tensors: dict[str, Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        data = tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        total = zlib.crc32(data, zlib.crc32(name.encode(), total))
    return f"{total:08x}"
