"""A checkpoint is whole or it is not there, and what is damaged or foreign is refused with a sentence."""

from __future__ import annotations

import errno
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import seqzoo
from seqzoo.contracts.errors import CheckpointError
from seqzoo.training.record.checkpoint import check_form, load_training, load_weights, save_training, save_weights
from seqzoo.training.record.files import BEST, LAST
from tests.conftest import Done


def model() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


CONTENT = {"state": ((torch.arange(3.0), torch.ones(2, 2)), (torch.zeros(1),)), "number": 3, "names": ["a", "ü"]}


def test_training_round_trip(tmp_path: Path) -> None:
    save_training(tmp_path / "last.pt", CONTENT)
    loaded = load_training(tmp_path / "last.pt")
    assert loaded["number"] == 3
    assert loaded["names"] == ["a", "ü"]
    assert isinstance(loaded["state"][0], tuple)
    assert torch.equal(loaded["state"][0][1], torch.ones(2, 2))


def test_weights_round_trip_with_a_tied_one(tmp_path: Path) -> None:
    saved, loaded = model(), model()
    saved.add_module("tied", saved[1])
    loaded.add_module("tied", loaded[1])
    with torch.no_grad():
        saved[1].weight.fill_(7.0)
    save_weights(tmp_path / "best.safetensors", saved, {"step": "12"})
    assert load_weights(tmp_path / "best.safetensors", loaded)["step"] == "12"
    assert (loaded[1].weight == 7).all()
    assert loaded.tied.weight is loaded[1].weight


def test_equal_weights_give_equal_files(tmp_path: Path) -> None:
    values = {"step": "12", "accuracy": "0.5", "loss_nats": "0.25", "note": "ü"}
    for number in range(6):  # the library's own order of metadata is random
        save_weights(tmp_path / f"{number}.safetensors", model(), dict(sorted(values.items(), reverse=number % 2 == 1)))
    assert len({(tmp_path / f"{number}.safetensors").read_bytes() for number in range(6)}) == 1
    assert load_weights(tmp_path / "0.safetensors", model()) == values


def test_several_empty_tensors_are_all_saved(tmp_path: Path) -> None:
    empty = nn.Module()
    for name in ("first", "second"):
        empty.register_buffer(name, torch.empty(0))
    save_weights(tmp_path / "best.safetensors", empty, {"step": "3"})
    assert load_weights(tmp_path / "best.safetensors", empty)["step"] == "3"


def test_a_full_disk_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    save_training(path, {"number": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left.*its previous content is intact"):
        save_training(path, {"number": 2})
    monkeypatch.undo()
    assert load_training(path)["number"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    save_training(tmp_path / "last.pt", CONTENT)
    save_weights(tmp_path / "best.safetensors", model(), {})
    for name in ("last.pt", "best.safetensors"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(CheckpointError, match=r"last.pt is damaged or not a checkpoint"):
        load_training(tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=r"best.safetensors is damaged or not a checkpoint"):
        load_weights(tmp_path / "best.safetensors", model())


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    save_training(tmp_path / "last.pt", {"tensor": torch.arange(1000.0)})
    save_weights(tmp_path / "best.safetensors", model(), {})
    for name, place in (("last.pt", -3000), ("best.safetensors", -5)):
        content = bytearray((tmp_path / name).read_bytes())
        content[place] ^= 1
        (tmp_path / name).write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="is damaged"):
        load_training(tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="checksum"):
        load_weights(tmp_path / "best.safetensors", model())


def test_a_flipped_bit_in_a_name_is_found(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    save_weights(path, model(), {})
    # in the order of their names, the tensors are the same as before
    path.write_bytes(path.read_bytes().replace(b'"1.bias"', b'"1.cias"'))
    with pytest.raises(CheckpointError, match="checksum"):
        load_weights(path, model())


@pytest.mark.parametrize("way", ["compressed", "over one another"])
def test_a_file_that_holds_more_than_its_size_is_refused(way: str, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_training(path, {"tensor": torch.zeros(10_000)})
    if way == "compressed":
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in parts.items():
                archive.writestr(name, content)
    else:
        with zipfile.ZipFile(path, "a") as archive:
            archive.filelist += archive.filelist
            archive.comment = b"changed"  # so that the list of parts is written anew
    with pytest.raises(CheckpointError, match="its parts are compressed"):
        load_training(path)


def test_a_foreign_file_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (os.mkdir, (str(tmp_path / "exploded"),))

    torch.save({"format": "other", "x": 1}, tmp_path / "other.pt")
    torch.save({"x": Bomb()}, tmp_path / "bomb.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("other.pt", "bomb.pt", "plain.pt"):
        with pytest.raises(CheckpointError, match=name):
            load_training(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_another_models_weights_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "best.safetensors", model(), {})
    with pytest.raises(
        CheckpointError, match="belongs to another model: 0 tensors are missing, 2 too many, 0 of another"
    ):
        load_weights(tmp_path / "best.safetensors", nn.Sequential(nn.Linear(3, 4)))
    with pytest.raises(
        CheckpointError, match="belongs to another model: 2 tensors are missing, 0 too many, 0 of another"
    ):
        load_weights(tmp_path / "best.safetensors", nn.Sequential(*model(), nn.Linear(2, 1)))
    with pytest.raises(CheckpointError, match=r"1 of another shape, 1.weight"):
        load_weights(tmp_path / "best.safetensors", nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2)))


def test_weights_of_another_type_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "best.safetensors", model().double(), {})
    with pytest.raises(CheckpointError, match=r"the numbers of 0\.bias are torch\.float64, not torch\.float32"):
        load_weights(tmp_path / "best.safetensors", model())


class Masked(nn.Module):
    """A parameter, and a buffer that is infinite on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 3))
        self.register_buffer("mask", torch.tensor([0.0, float("-inf")]))


@pytest.mark.parametrize("name", ["weight", "mask"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(name: str, value: float, tmp_path: Path) -> None:
    spoiled = Masked()
    with torch.no_grad():
        getattr(spoiled, name)[-1] = value
    save_weights(tmp_path / "best.safetensors", spoiled, {})
    if name == "mask" and value == float("inf"):
        load_weights(tmp_path / "best.safetensors", Masked())
        return
    count = "3 of the 6" if name == "weight" else "1 of the 2"
    loaded = Masked()
    with pytest.raises(CheckpointError, match=rf"best.safetensors .* {count} numbers of {name} are not finite"):
        load_weights(tmp_path / "best.safetensors", loaded)
    assert torch.equal(loaded.weight, torch.ones(2, 3)), "nothing is filled before all is known to be right"


LIKE = {"moments": [torch.zeros(2), 3], "rate": 0.5}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"moments": [torch.ones(2), 5], "rate": 1}, None),  # an integer is a number, too
        ({"moments": [torch.ones(2).double(), 3], "rate": 0.5}, "a.moments[0] is (2,) float64 not (2,) float32"),
        ({"moments": [torch.ones(3), 3], "rate": 0.5}, "a.moments[0] is (3,) float32 not (2,) float32"),
        ({"moments": [torch.ones(2), True], "rate": 0.5}, "a.moments[1] is a bool, not a int"),
        ({"moments": [torch.ones(2)], "rate": 0.5}, "a.moments has 1 values, not 2"),
        ({"moments": (torch.ones(2), 3), "rate": 0.5}, "a.moments is a tuple, not a list"),
        ({"moments": [torch.ones(2), 3]}, "a has moments, not moments, rate"),
    ],
)
def test_content_of_another_structure_is_refused(value: Any, told: str | None) -> None:
    if told is None:
        check_form(value, LIKE, "a")
        return
    with pytest.raises(ValueError, match=re.escape(told)):
        check_form(value, LIKE, "a")


@pytest.mark.parametrize("part", ["optimizer", "averaging", "state", "running"])
def test_a_checkpoint_with_nan_is_refused(part: str, tmp_path: Path) -> None:
    content = {"optimizer": {"state": {0: {}}}, "averaging": {}, "state": None, "running": []}
    save_training(tmp_path / "last.pt", content)
    load_training(tmp_path / "last.pt")
    spoiled = {"a": [(torch.zeros(2), torch.tensor([1.0, float("nan")]))]}
    save_training(tmp_path / "last.pt", {**content, part: spoiled})
    with pytest.raises(CheckpointError, match=rf"last.pt cannot be used: its {part} has NaN"):
        load_training(tmp_path / "last.pt")


def test_every_reader_of_a_run_refuses_weights_that_are_nan(command: Callable[..., Done], tmp_path: Path) -> None:
    small = ("data.train_size=16", "data.validation_size=8", "data.test_size=8", "cell.engine=reference")
    tiny = ("task=tagging", "debug=tiny", *small, "training.steps=2", "training.diagnostics=0")
    command("train", *tiny, "hydra.run.dir=run")
    loaded = seqzoo.load(tmp_path / "run")
    content = load_training(tmp_path / "run" / LAST)
    with torch.no_grad():
        next(loaded.model.parameters()).fill_(float("nan"))
        next(iter(content["model"].values()))[0] = float("inf")
    save_weights(tmp_path / "run" / BEST, loaded.model, {})
    save_training(tmp_path / "run" / LAST, content)
    with pytest.raises(CheckpointError, match="are not finite"):
        seqzoo.load(tmp_path / "run")
    for arguments in (["evaluate", "run"], ["predict", "run", "the cat"], ["train", "resume=run", "training.steps=4"]):
        done = command(*arguments)
        assert (done.status, done.err.count("\n")) == (2, 1), done.err
        assert "are not finite; take an earlier copy" in done.err
        assert len(done.err) <= 300


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*last\.pt"):
        load_training(tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*best"):
        load_weights(tmp_path / "best.safetensors", model())
