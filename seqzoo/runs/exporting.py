"""Writing a trained model as a file that runs without seqzoo: of torch.export, or ONNX."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import numpy
import torch
from torch import Tensor, nn

from seqzoo.contracts.arguments import check_folder
from seqzoo.contracts.batch import Batch, Features, State
from seqzoo.contracts.capabilities import Exports
from seqzoo.contracts.errors import ConfigError, SeqzooError, not_installed
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.state import flatten, unflatten
from seqzoo.data.text.codec import TextCodec, spec_to_plain
from seqzoo.data.text.subwords import Subwords
from seqzoo.network.model import Model
from seqzoo.runs.export_page import page

Format = Literal["onnx", "torch"]
Form = Literal["step", "sequence"]
FILES: dict[str, str] = {"onnx": "model.onnx", "torch": "model.pt2"}
PACKAGES: dict[str, tuple[str, ...]] = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch": ()}
"""What a format needs besides torch."""

SIZES = (1, 3), (2, 11), (5, 6)
"""Numbers of rows and steps at which a file is compared with the model; it is recorded at others."""
RECORDED = (3, 7)
TOLERANCE = 1e-4
"""Of a file's numbers, relative to those of the model or, below 1, absolute: both add up float32 in another order."""


def exported_scores(model: Model) -> Callable[[Features, Batch], Tensor]:
    """`exported_scores` of a model's task.

    Raises:
        ConfigError: the task has no such method.
    """
    task = model.task
    if not isinstance(task, Exports):
        reason = "its answers are written token by token, by a search that is no part of the network"
        raise ConfigError([f"the run cannot be exported: {reason}"])
    return task.exported_scores


class StepForm(nn.Module):
    """One step: inputs (B,) ids or (B, I) and the tensors of the state -> scores (B, K) and the next state."""

    def __init__(self, model: Model):
        super().__init__()
        self.model, self.scores_of = model, exported_scores(model)
        self.like: State = model.backbone.initial_state(1)

    def forward(self, inputs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        outputs, following = self.model.step(inputs, unflatten([*state], self.like))
        features = Features(outputs[:, None], outputs, following, None)
        lengths = torch.ones_like(outputs[:, 0], dtype=torch.long)
        return self.scores_of(features, Batch(inputs[:, None], lengths))[:, 0], *flatten(following)


class SequenceForm(nn.Module):
    """Whole sequences: inputs (B, T) ids or (B, T, I) and lengths (B,) -> scores (B, T, K) or (B, K)."""

    def __init__(self, model: Model):
        super().__init__()
        self.model, self.scores_of = model, exported_scores(model)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        batch = Batch(inputs, lengths)
        return self.scores_of(self.model.encode(batch), batch)


def export(
    run_dir: str | Path,
    to: Format = "onnx",
    form: Form = "sequence",
    folder: str | Path = "exported",
    allow_modules: Iterable[str] = (),
) -> Path:
    """Write the model of a run as a file that runs without seqzoo, as `seqzoo export` does, in a process of its own.

    Args:
        run_dir: the run directory.
        to: "onnx", or "torch" for torch.export (.pt2).
        form: "sequence": whole sequences, with lengths; "step": one step, with the state in and out.
        folder: a new or empty folder for the file, its vocabulary and labels, and a README.md with the call.
        allow_modules: user-defined modules that the run may use.

    Returns:
        The file.

    Raises:
        SeqzooError: the run cannot be exported; the message says why, and what to take instead.

    Examples:
        >>> seqzoo.export("runs/tagging_lstm_unidirectional/2026-11-21_02-53-19", to="onnx", form="step")
        PosixPath('exported/model.onnx')
    """
    check_folder("run_dir", run_dir)
    options = [
        f"--to={to}",
        f"--form={form}",
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
    return Path(folder) / FILES[to]


@torch.no_grad()
def write_export(model: Model, spec: DataSpec, to: Format, form: Form, folder: Path) -> Path:
    """Write a model, in a process that has recorded no other one.

    Args:
        model: on the CPU, in evaluation mode.
        spec: of the data that it was trained on.
        to, form, folder: as of `export`.

    Returns:
        The file, whose numbers are those of the model at three other sizes.

    Raises:
        ConfigError: the model cannot be exported; nothing is written.
    """
    for package in PACKAGES[to]:
        if importlib.util.find_spec(package) is None:
            raise ConfigError([f"--to {to} needs {not_installed(package)}"])
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError([f"--folder is {str(folder)!r}, which is not empty: choose another one"])
    reason = _why_not(model, spec, form)
    if reason:
        raise ConfigError([f"the run cannot be exported: {reason}"])
    model = model.float().requires_grad_(False)
    whole = SequenceForm(model)
    if form == "step" and whole(*_inputs(spec, *RECORDED)).dim() == 2:
        raise ConfigError(["the run answers whole sequences, not each step: add --form sequence"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILES[to]
    try:
        _record(model, spec, to, form, path)
        _compare(_program(path), whole, spec, form)
    except Exception:
        path.unlink(missing_ok=True)
        raise
    _write_beside(model, spec, form, path)
    return path


def _record(model: Model, spec: DataSpec, to: Format, form: Form, path: Path) -> None:
    inputs, lengths = _inputs(spec, *RECORDED)
    module: nn.Module
    arguments: tuple[Tensor, ...]
    sizes: tuple[Any, ...]
    if form == "step":
        module, state = StepForm(model), _initial(model, RECORDED[0])
        arguments = (inputs[:, 0].contiguous(), *state)
        names, sizes = [*_state_names(model)], ({0: DYNAMIC}, tuple({0: DYNAMIC} for _ in state))
    else:
        module, arguments = SequenceForm(model), (inputs, lengths)
        names, sizes = ["lengths"], ({0: DYNAMIC, 1: DYNAMIC}, {0: DYNAMIC})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(module, arguments, dynamic_shapes=sizes)
            if to == "torch":
                torch.export.save(program, path)
                return
            results = ["scores", *(f"next_{name}" for name in names if form == "step")]
            written = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=["inputs", *names], output_names=results
            )
            assert written is not None
            written.save(path)
    except Exception as error:
        raise ConfigError([f"the run cannot be exported to {to}: {_cause(error)}; {_instead(to, form)}"]) from error


DYNAMIC = torch.export.Dim.DYNAMIC


def _cause(error: BaseException) -> str:
    """The operation that an exporter does not know, or the first line of its message."""
    text = str(error)
    cause = error.__cause__
    while cause is not None:
        text, cause = f"{cause}\n{text}", cause.__cause__
    operation = re.search(r"\b(aten|prims|higher_order|torchvision)[.:]+[\w.]+", text)
    if operation:
        return f"it has no form of the operation {operation[0]}"
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)[:200]


def _instead(to: Format, form: Form) -> str:
    other = "sequence" if form == "step" else "step"
    return f"try --form {other}" + (" or --to torch" if to == "onnx" else "")


def _compare(run: Callable[..., list[Tensor]], whole: SequenceForm, spec: DataSpec, form: Form) -> None:
    """Raise ConfigError if a file's numbers are not those of the model."""
    model = whole.model
    for rows, steps in SIZES:
        inputs, lengths = _inputs(spec, rows, steps)
        if form == "sequence":
            expected, [scores] = whole(inputs, lengths), run(inputs, lengths)
        else:
            expected, state, parts = whole(inputs, torch.full((rows,), steps)), _initial(model, rows), []
            for step in inputs.unbind(1):
                part, *state = run(step.contiguous(), *state)
                parts.append(part)
            scores = torch.stack(parts, 1)
        size = f"{rows} rows of {steps} steps"
        if scores.shape != expected.shape:
            raise ConfigError(
                [f"at {size} the file computes {tuple(scores.shape)}, and the model {tuple(expected.shape)}"]
            )
        differences = (scores - expected).abs() / expected.abs().clamp(min=1)
        apart = differences.masked_fill(scores == expected, 0).max()  # equal infinities have a difference of nan
        if not apart <= TOLERANCE:
            other = "sequence" if form == "step" else "step"
            raise ConfigError(
                [f"at {size} the numbers of the file differ from the model's by {apart:.2g}: try --form {other}"]
            )


def _program(path: Path) -> Callable[..., list[Tensor]]:
    """A file as a function of tensors."""
    if path.suffix == ".pt2":
        module = torch.export.load(path).module()

        def of_torch(*tensors: Tensor) -> list[Tensor]:
            result = module(*tensors)
            return [*result] if isinstance(result, (tuple, list)) else [result]

        return of_torch
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [part.name for part in session.get_inputs()]

    def of_onnx(*tensors: Tensor) -> list[Tensor]:
        feeds = dict(zip(names, (tensor.numpy() for tensor in tensors), strict=True))
        return [torch.from_numpy(array) for array in session.run(None, feeds)]

    return of_onnx


def _inputs(spec: DataSpec, rows: int, steps: int) -> tuple[Tensor, Tensor]:
    """Random inputs, and lengths of which the first one is the longest."""
    generator = torch.Generator().manual_seed(rows)
    if spec.inputs is None:
        inputs = torch.randn(rows, steps, spec.input_size, generator=generator)
    else:
        inputs = torch.randint(spec.input_size, (rows, steps), generator=generator)
    lengths = torch.randint(1, steps + 1, (rows,), generator=generator)
    lengths[0] = steps
    return inputs, lengths


def _initial(model: Model, rows: int) -> list[Tensor]:
    return [part.clone() for part in flatten(model.backbone.initial_state(rows))]


def _state_names(model: Model) -> list[str]:
    return [f"state_{number}" for number in range(len(flatten(model.backbone.initial_state(1))))]


def _why_not(model: Model, spec: DataSpec, form: Form) -> str:
    """Why a model cannot be exported in a form; empty if it may be."""
    if len(model.networks) > 1:
        return "it is an ensemble, so export its runs one by one"
    if spec.picture is not None or spec.trees is not None or spec.marked:
        return "it reads pictures, trees or marked texts, and files are written for sequences"
    if model.encoder.reads_characters:
        return "its encoder reads the spelling of words, so train one with encoder=tokens"
    if form == "step" and not model.backbone.causal:
        return "it reads future inputs, which a step does not have: add --form sequence, or train one of one direction"
    if form == "step" and (model.encoder.context != (0, 0) or model.encoder.stride > 1):
        return "its encoder reads several steps at once: add --form sequence"
    return ""


def _write_beside(model: Model, spec: DataSpec, form: Form, path: Path) -> None:
    """Write the vocabulary, the labels, the scaling of series, the initial state and the README."""
    folder, plain = path.parent, spec_to_plain(spec)
    if isinstance(spec.inputs, TextCodec):
        _write_json(folder / "vocabulary.json", plain["inputs"])
        if isinstance(spec.inputs.tokenizer, Subwords):
            (folder / "tokenizer.json").write_text(spec.inputs.tokenizer.tokenizer_file(), encoding="utf-8")
    labels: Any = None
    if spec.targets is not None:
        labels = model.task.classes() or plain["targets"].get("tokens") or plain["targets"]["labels"]
        _write_json(folder / "labels.json", labels)
    if spec.channels is not None:
        _write_json(folder / "channels.json", plain["channels"])
    if form == "step":
        arrays: dict[str, Any] = dict(
            zip(_state_names(model), (part.numpy() for part in _initial(model, 1)), strict=True)
        )
        numpy.savez(folder / "initial_state.npz", **arrays)
    (folder / "README.md").write_text(page(spec, form, path.name, labels is not None), encoding="utf-8")


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
