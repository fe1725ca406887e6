"""Writing a trained model as a file that runs without seqzoo: of torch.export, or ONNX."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy
import torch
from torch import Tensor

from seqzoo.cells.skew import SkewCell
from seqzoo.contracts.arguments import check_folder
from seqzoo.contracts.disk import whole_folder
from seqzoo.contracts.errors import ConfigError, SeqzooError, not_installed
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.strict_json import to_json
from seqzoo.data.text.codec import TextCodec, spec_to_plain
from seqzoo.data.text.subwords import Subwords
from seqzoo.network.model import Model
from seqzoo.runs import export_forms
from seqzoo.runs.export_forms import Form, Part, Run, SequenceForm
from seqzoo.runs.export_page import example, page

Format = Literal["onnx", "torch"]
SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torch": ".pt2"}
PACKAGES: dict[str, tuple[str, ...]] = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch": ()}
"""What a format needs besides torch."""

SIZES = (1, 3), (2, 11), (5, 6)
"""Numbers of rows and steps at which a file is compared with the model; it is recorded at others."""
TOLERANCE = 1e-4
"""Of a file's numbers, relative to those of the model or, below 1, absolute: both add up float32 in another order."""


def export(
    run_dir: str | Path,
    to: Format = "onnx",
    form: Form | None = None,
    folder: str | Path = "exported",
    allow_modules: Iterable[str] = (),
) -> Path:
    """Write the model of a run as a file that runs without seqzoo, as `seqzoo export` does, in a process of its own.

    Args:
        run_dir: the run directory.
        to: "onnx", or "torch" for torch.export (.pt2).
        form: "sequence": whole sequences, with lengths; "step": one step, with the state in and out. None:
            sequences or, for answers that are written by a search, an encoder and the step of a decoder.
        folder: a new or empty folder for the file, its vocabulary and labels, and a program that runs it.
        allow_modules: user-defined modules that the run may use.

    Returns:
        The file; of an encoder and a decoder, the encoder.

    Raises:
        SeqzooError: the run cannot be exported; the message says why, and what to take instead.

    Examples:
        >>> seqzoo.export("runs/tagging_lstm_unidirectional/2026-11-21_02-53-19", to="onnx", form="step")
        PosixPath('exported/model.onnx')
    """
    check_folder("run_dir", run_dir)
    options = [
        f"--to={to}",
        *([f"--form={form}"] if form else []),
        f"--folder={folder}",
        *(f"--allow-module={name}" for name in allow_modules),
    ]
    # torch records a program differently where others were recorded before
    done = subprocess.run(
        [sys.executable, "-m", "seqzoo", "export", str(run_dir), *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SeqzooError(done.stderr.strip().removeprefix("seqzoo: ") or f"the export ended with {done.returncode}")
    encoder = Path(folder) / f"encoder{SUFFIXES[to]}"
    return encoder if encoder.exists() else encoder.with_stem("model")


@torch.no_grad()
def write_export(model: Model, spec: DataSpec, to: Format, form: Form | None, folder: Path) -> list[Path]:
    """Write a model, in a process that has recorded no other one.

    Args:
        model: on the CPU, in evaluation mode.
        spec: of the data that it was trained on.
        to, form, folder: as of `export`.

    Returns:
        The files, whose numbers are those of the model at three other sizes.

    Raises:
        ConfigError: the model cannot be exported; nothing is written.
    """
    for package in PACKAGES[to]:
        if importlib.util.find_spec(package) is None:
            raise ConfigError([f"--to {to} needs {not_installed(package)}"])
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError([f"--folder is {str(folder)!r}, which is not empty: choose another one"])
    if form is None and not export_forms.writes_by_search(model):
        form = "sequence"
    reason = _why_not(model, spec, form)
    if reason:
        raise ConfigError([f"the run cannot be exported: {reason}"])
    model = model.float().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, SkewCell):
            module.fix()
    if form == "step" and SequenceForm(model)(*export_forms.some_inputs(spec, *export_forms.RECORDED)).dim() == 2:
        raise ConfigError(["the run answers whole sequences, not each step: add --form sequence"])
    parts = export_forms.parts_of(model, spec, form)
    names = [f"{part.name}{SUFFIXES[to]}" for part in parts]
    with whole_folder(folder) as new:
        for part, name in zip(parts, names, strict=True):
            try:
                _record(part, to, new / name)
            except Exception as error:
                cause = _cause(error, to, form)
                raise ConfigError([f"the run cannot be exported to {to}: {cause}"]) from error
        apart = difference([program(new / name) for name in names], model, spec, form)
        if apart > TOLERANCE:
            raise ConfigError([f"the numbers of the file differ from the model's by {apart:.2g}: {_instead(to, form)}"])
        _write_beside(model, spec, form, to, new)
    return [folder / name for name in names]


def _record(part: Part, to: Format, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recorded = torch.export.export(part.module, part.arguments, dynamic_shapes=part.sizes)
        if to == "torch":
            torch.export.save(recorded, path)
            return
        written = torch.onnx.export(
            recorded, dynamo=True, verbose=False, input_names=part.inputs, output_names=part.outputs
        )
        assert written is not None
        written.save(path)


def _cause(error: BaseException, to: Format, form: Form | None) -> str:
    """The operation that an exporter does not know, or the first line of its message, and what to do instead."""
    text = str(error)
    cause = error.__cause__
    while cause is not None:
        text, cause = f"{cause}\n{text}", cause.__cause__
    operation = re.search(r"\b(aten|prims|higher_order|torchvision)[.:]+[\w.]+", text)
    if operation:
        return f"it has no counterpart of the operation {operation[0]}; {_instead(to, None)}"
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)[:200]
    return f"{first}; {_instead(to, form)}"


def _instead(to: Format, form: Form | None) -> str:
    other = {"step": "--form sequence", "sequence": "--form step"}
    possible = [*([other[form]] if form else []), *(["--to torch"] if to == "onnx" else [])]
    return f"try {' or '.join(possible)}" if possible else "predict instead"


def difference(runs: Sequence[Run], model: Model, spec: DataSpec, form: Form | None) -> float:
    """The largest difference of the numbers of files from those of the model, relative or, below 1, absolute.

    Args:
        runs: the files, as of `program`.
        model: the model.
        spec: of the data that it was trained on.
        form: of the files; None: an encoder and a decoder.

    Raises:
        ConfigError: a file computes numbers of another shape.
    """
    largest = 0.0
    for rows, steps in SIZES:
        for expected, scores in export_forms.compared(model, spec, form, [*runs], rows, steps):
            if scores.shape != expected.shape:
                shapes = f"the file computes {tuple(scores.shape)}, and the model {tuple(expected.shape)}"
                raise ConfigError([f"at {rows} rows of {steps} steps {shapes}"])
            apart = (scores - expected).abs() / expected.abs().clamp(min=1)
            apart = apart.masked_fill(scores == expected, 0)  # equal infinities have a difference of nan
            largest = max(largest, float(apart.nan_to_num(nan=torch.inf).max()))
    return largest


def program(path: Path, threads: int = 0) -> Run:
    """A file as a function of tensors.

    Args:
        path: the file.
        threads: of ONNX Runtime; 0: one per core.
    """
    if path.suffix == ".pt2":
        module = torch.export.load(path).module()

        def of_torch(*tensors: Tensor) -> list[Tensor]:
            result = module(*tensors)
            return [*result] if isinstance(result, (tuple, list)) else [result]

        return of_torch
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [part.name for part in session.get_inputs()]

    def of_onnx(*tensors: Tensor) -> list[Tensor]:
        feeds = dict(zip(names, (tensor.numpy() for tensor in tensors), strict=True))
        return [torch.from_numpy(array) for array in session.run(None, feeds)]

    return of_onnx


def _why_not(model: Model, spec: DataSpec, form: Form | None) -> str:
    """Why a model cannot be exported in a form; empty if it may be."""
    export_forms.check_exports(model)
    search = export_forms.writes_by_search(model)
    if len(model.networks) > 1:
        return "it is an ensemble, so export its runs one by one"
    if spec.trees is not None or spec.marked or (spec.picture is not None and not search) or spec.lines:
        return "it reads pictures, trees or marked texts, and files are written for sequences"
    if model.encoder.reads_characters:
        return "its encoder reads the spelling of words, so train one with encoder=tokens"
    if search and form is not None:
        return "it writes by a search, for which encoder and decoder are files of their own: leave out --form"
    if form == "step" and not model.backbone.causal:
        return "it reads future inputs, which a step does not have: add --form sequence, or train one of one direction"
    if form == "step" and (model.encoder.context != (0, 0) or model.encoder.stride > 1):
        return "its encoder reads several steps at once: add --form sequence"
    return ""


def _write_beside(model: Model, spec: DataSpec, form: Form | None, to: Format, folder: Path) -> None:
    """Write the vocabulary, the labels, the scaling of series, the initial state, a program and the README."""
    plain = spec_to_plain(spec)
    if isinstance(spec.inputs, TextCodec):
        _write_json(folder / "vocabulary.json", plain["inputs"])
        if isinstance(spec.inputs.tokenizer, Subwords):
            (folder / "tokenizer.json").write_text(spec.inputs.tokenizer.tokenizer_file(), encoding="utf-8")
    if spec.targets is not None:
        labels = model.task.classes() or plain["targets"].get("tokens") or plain["targets"]["labels"]
        _write_json(folder / "labels.json", labels)
    if spec.channels is not None:
        _write_json(folder / "channels.json", plain["channels"])
    if form == "step":
        arrays: dict[str, Any] = {
            f"state_{number}": part.numpy() for number, part in enumerate(export_forms.initial_state(model, 1))
        }
        numpy.savez(folder / "initial_state.npz", **arrays)
    (folder / "example.py").write_text(example(spec, form, to), encoding="utf-8")
    (folder / "README.md").write_text(page(spec, form, to), encoding="utf-8")


def _write_json(path: Path, content: Any) -> None:
    path.write_text(to_json(content, indent=1), encoding="utf-8")
