"""Checkpoints that are never half-written, and that cannot run code when they are read.

`last.pt` holds all that continues a training, in one file, so that its parts cannot disagree. `best.safetensors` holds
weights. Both are tensors and plain data alone.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from seqzoo.errors import CheckpointError
from seqzoo.training.older import renamed

FORMAT = "seqzoo-checkpoint-1"


def write_atomically(path: Path, write: Callable[[Any], object]) -> None:
    """`write` fills a temporary file beside `path`, which takes the name only when it is whole and on the disk.

    Raises CheckpointError when the disk does not take it; what `path` held before is then still there.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch.save turns a full disk into a RuntimeError
        kept = "the one written before is intact" if path.exists() else "there was none before"
        raise CheckpointError(
            f"{path} could not be written ({error}); {kept}: free some space, then continue with resume="
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """The new name, too, must survive a power cut."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_training(path: Path, content: dict[str, Any]) -> None:
    """Tensors, numbers, text, lists, tuples and mappings of them."""
    write_atomically(path, lambda file: torch.save({"format": FORMAT, **content}, file))


def load_training(path: Path) -> dict[str, Any]:
    """What `save_training` wrote, on the CPU. Raises CheckpointError for a damaged file or one of another program."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise CheckpointError(f"{path} is damaged (in {damaged}): start the run anew, or take a copy of the file")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except CheckpointError:
        raise
    except Exception as error:  # torch and zipfile raise many kinds for a file that is not theirs
        raise CheckpointError(f"{path} is damaged or no checkpoint of seqzoo ({_first_line(error)})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this version of seqzoo: its format is not {FORMAT}")
    return content


def save_weights(path: Path, model: nn.Module, metadata: dict[str, str]) -> None:
    """The model's weights; tied ones once."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            tensors[name] = tensor.detach().cpu().contiguous()
    content = save_tensors(tensors, {"format": FORMAT, "crc32": _checksum(tensors), **metadata})
    write_atomically(path, lambda file: file.write(content))


def load_weights(path: Path, model: nn.Module) -> dict[str, str]:
    """Fill a model from `save_weights`; returns the metadata."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no checkpoint {path}") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or no checkpoint of seqzoo ({_first_line(error)})") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this version of seqzoo: its format is not {FORMAT}")
    if metadata.get("crc32") != _checksum(tensors):
        raise CheckpointError(f"{path} is damaged: its checksum does not agree with its content")
    fill(model, tensors, path)
    return metadata


def fill(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Copy tensors into a model that must have the same ones. A tied weight may be missing under its second name."""
    tensors, own = renamed(tensors), model.state_dict()
    present = {own[name].data_ptr() for name in tensors if name in own}
    absent = [name for name in own if name not in tensors and own[name].data_ptr() not in present]
    foreign = [name for name in tensors if name not in own]
    other = [name for name in tensors if name in own and own[name].shape != tensors[name].shape]
    if absent or foreign or other:
        name = (absent + foreign + other)[0]
        raise CheckpointError(
            f"{path} belongs to another model: {len(absent)} tensors are missing, {len(foreign)} too many, "
            f"{len(other)} of another shape, {name} among them"
        )
    model.load_state_dict(tensors, strict=False)


def _checksum(tensors: dict[str, Tensor]) -> str:
    total = 0
    for name in sorted(tensors):
        data = tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        total = zlib.crc32(data, zlib.crc32(name.encode(), total))
    return f"{total:08x}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
