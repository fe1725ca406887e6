"""Exported models: the numbers of the file, what lies beside it, and what cannot be exported."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import pytest
import torch
from PIL import ExifTags, Image

import seqzoo
from seqzoo.contracts.errors import ConfigError, SeqzooError
from seqzoo.contracts.state import flatten
from seqzoo.data.sources.pictures import read_picture
from seqzoo.network.model import Model
from seqzoo.runs import exporting
from seqzoo.runs.export_page import example
from seqzoo.runs.exporting import write_export
from seqzoo.runs.loaded import Loaded
from tests.contracts.test_tasks import LABELS, SOURCE, build, spec_of


def model(task: str, cell: str = "gru", backbone: str = "unidirectional", **options: Any) -> Model:
    torch.manual_seed(0)
    return build(task, cell, backbone, **options).eval()


def answers(folder: Path, *texts: str, without: str = "torch") -> list[str]:
    """What the program of a folder prints where a package cannot be imported."""
    code = f"import runpy, sys; sys.modules['{without}'] = None; runpy.run_path('example.py')"
    command = [sys.executable, "-c", code, *texts]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_step_runs_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    tagger, folder = model("tagging", "lstm"), tmp_path / "step"
    write_export(tagger, spec_of("tagging"), "onnx", "step", folder)
    assert {path.name for path in folder.iterdir()} == {
        "model.onnx", "README.md", "example.py", "vocabulary.json", "labels.json", "initial_state.npz",
    }  # fmt: skip
    assert json.loads((folder / "labels.json").read_text()) == LABELS.labels
    assert (folder / "example.py").read_text() in (folder / "README.md").read_text()
    [expected] = Loaded(tagger, spec_of("tagging")).predict(["badge"])
    assert answers(folder, "badge") == list(expected.answer)


@pytest.mark.slow
def test_a_search_runs_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    """Encoder and decoder are files of their own, which the program beside them searches with."""
    loaded, sums = seqzoo.load("pretrained:addition_lstm"), ["535+61", "9+1", "77+8"]
    paths = write_export(loaded.model, loaded.spec, "onnx", None, tmp_path / "sums")
    assert [path.name for path in paths] == ["encoder.onnx", "decoder.onnx"]
    assert answers(tmp_path / "sums", *sums) == [prediction.answer for prediction in loaded.predict(sums)]


def test_the_program_reads_a_picture_as_seqzoo_does(tmp_path: Path) -> None:
    """The central square, turned by its Exif orientation."""
    noise = numpy.random.default_rng(0).integers(0, 256, (30, 50, 3), numpy.uint8)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path, spec = str(tmp_path / "picture.png"), spec_of("captioning")
    Image.fromarray(noise).save(path, exif=exif)
    program = example(spec, None, "onnx")
    lines = program[program.index("picture = ") : program.index("score, tokens")].splitlines()
    names: dict[str, Any] = {"text": path}
    exec("import numpy\nfrom PIL import Image, ImageOps\n" + "\n".join(map(str.strip, lines)), names)
    assert numpy.array_equal(names["inputs"][0], read_picture(path, spec.picture[1]).float() / 255)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "backbone", "decoder"),
    [
        ("captioning", "pointwise", {}),
        ("transduction", "bidirectional", {"attention": "coverage", "input_feeding": True, "copy_source": True}),
        ("transduction", "unidirectional", {"attention": "multi_head", "context": "mean_state"}),
    ],
)
def test_decoders_that_attend(task: str, backbone: str, decoder: dict[str, Any], tmp_path: Path) -> None:
    """Their numbers are compared before they are kept."""
    for to in ("onnx", "torch"):
        writer = model(task, "gru", backbone, **({"decoder": decoder} if decoder else {}))
        encoder, _ = write_export(writer, spec_of(task), to, None, tmp_path / to)  # type: ignore[arg-type]
        assert encoder.is_file()
        compile((tmp_path / to / "example.py").read_text(), "example.py", "exec")
        assert len((tmp_path / to / "example.py").read_text().splitlines()) <= 50


@pytest.mark.slow
def test_sequences_of_both_directions_have_any_size(tmp_path: Path) -> None:
    """Lengths are an input, and the number of steps is not fixed."""
    import onnxruntime

    tagger = model("tagging", "gru", "bidirectional")
    [path] = write_export(tagger, spec_of("tagging"), "onnx", "sequence", tmp_path / "sequence")
    session = onnxruntime.InferenceSession(str(path))
    ids, lengths = torch.randint(2, SOURCE.size, (4, 17)), torch.tensor([17, 3, 9, 1])
    [scores] = session.run(None, {"inputs": ids.numpy(), "lengths": lengths.numpy()})
    expected = tagger(seqzoo.Batch(ids, lengths))[0].log_softmax(-1)
    torch.testing.assert_close(torch.from_numpy(scores), expected, atol=1e-5, rtol=1e-5)


def test_the_form_of_torch(tmp_path: Path) -> None:
    language = model("language_modeling", "lru")
    [path] = write_export(language, spec_of("language_modeling"), "torch", "step", tmp_path / "step")
    module = torch.export.load(path).module()
    state = [part for _, part in sorted(numpy.load(path.parent / "initial_state.npz").items())]
    assert len(state) == len(flatten(language.backbone.initial_state(1)))
    scores, *_ = module(torch.tensor([4]), *map(torch.from_numpy, state))
    output, _ = language.step(torch.tensor([4]), language.backbone.initial_state(1))
    torch.testing.assert_close(scores, language.task.head.log_probabilities(output), atol=1e-5, rtol=1e-5)


WHY_NOT: dict[str, tuple[str, str, dict[str, Any], str, str]] = {
    "future": ("tagging", "bidirectional", {}, "step", "reads future inputs.*add --form sequence"),
    "search": ("transduction", "unidirectional", {}, "sequence", "writes by a search.*leave out --form"),
    "music": ("polyphony", "unidirectional", {}, "sequence", "answers follow from more than scores"),
    "crf": ("tagging", "unidirectional", {"decoder": "crf"}, "sequence", "chooses the tags of a whole text together"),
    "whole": (
        "classification",
        "unidirectional",
        {},
        "step",
        "answers whole sequences, not each step: add --form sequence",
    ),
    "linear": ("forecasting", "unidirectional", {"linear_window": 3}, "step", "train with task.linear_window=0"),
}


@pytest.mark.parametrize("reason", WHY_NOT)
def test_what_is_not_exported(reason: str, tmp_path: Path) -> None:
    task, backbone, options, form, message = WHY_NOT[reason]
    with pytest.raises(ConfigError, match=message):
        write_export(model(task, "gru", backbone, **options), spec_of(task), "onnx", form, tmp_path / "none")
    assert not list(tmp_path.iterdir())


class Sorted(seqzoo.Encoder):
    """An encoder with an operation that ONNX does not have."""

    output_size = 3

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs + torch.special.bessel_j0(inputs)


@pytest.mark.slow
def test_a_matrix_that_weights_determine_is_part_of_the_file(tmp_path: Path) -> None:
    """ONNX has no exponential of a matrix."""
    spec = spec_of("regression")
    assert write_export(model("regression", "unitary"), spec, "onnx", "step", tmp_path / "step")


@pytest.mark.slow
def test_an_operation_that_the_format_does_not_have_is_named(tmp_path: Path) -> None:
    regression = model("regression", "elman")
    regression.encoder = Sorted()
    message = r"cannot be exported to onnx: it has no counterpart of the operation prims.bessel_j0; try --to torch"
    with pytest.raises(ConfigError, match=message):
        write_export(regression, spec_of("regression"), "onnx", "step", tmp_path / "none")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_file_with_other_numbers_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = exporting.program
    monkeypatch.setattr(exporting, "program", lambda path: lambda *x: [right(path)(*x)[0] + 0.01])
    with pytest.raises(ConfigError, match="the numbers of the file differ from the model's by"):
        write_export(model("regression"), spec_of("regression"), "torch", "sequence", tmp_path / "none")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_a_run_is_exported_in_a_process_of_its_own(to: str, tmp_path: Path) -> None:
    done = seqzoo.train("task=tagging", "debug=tiny", f"hydra.run.dir={tmp_path}/run")
    path = seqzoo.export(done.folder, to=to, folder=tmp_path / "exported")
    assert path.is_file()
    [expected] = seqzoo.load(done.folder).predict(["the cat sleeps"])
    without = "torch" if to == "onnx" else "onnxruntime"
    assert answers(path.parent, "the cat sleeps", without=without) == [" ".join(expected.answer)]
    with pytest.raises(SeqzooError, match="is not empty"):
        seqzoo.export(done.folder, to=to, folder=tmp_path / "exported")


def test_the_page_of_exported_files_is_up_to_date(load_script: Callable[[str], ModuleType]) -> None:
    script = load_script("write_export")
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run python scripts/write_export.py"
    rows = script.read_table(script.TABLE)
    assert {row["cell"] for row in rows} == {*seqzoo.list_cells()}
