"""Pretrained networks: their cards, their scores, and `pretrained:NAME` in place of a run directory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import seqzoo
from seqzoo.configuration import pretrained
from seqzoo.configuration.pretrained import LARGEST, WEIGHTS, list_pretrained, read_card
from seqzoo.contracts.errors import CheckpointError, ConfigError
from seqzoo.training.record.files import BEST, CONFIG, METRICS

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = list_pretrained()
ADDITION = "pretrained:addition_lstm"
GENERATED = ("addition", "shapes")


@pytest.mark.parametrize("name", NAMES)
def test_a_card_describes_the_files(name: str) -> None:
    card, folder = read_card(name), pretrained.run_folder(f"pretrained:{name}")
    assert card.size == (folder / BEST).stat().st_size <= LARGEST
    assert card.summary
    assert card.licence
    metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    assert f"{metrics[card.split][card.metric]:.4g}" == f"{card.score:.4g}"
    assert metrics["parameters"] == card.parameters
    with safe_open(folder / BEST, "pt") as weights:
        tensors = [weights.get_tensor(tensor) for tensor in weights.keys()]  # noqa: SIM118 (not a mapping)
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float16}
    assert "path: /" not in (folder / CONFIG).read_text(encoding="utf-8")


def test_all_of_them_are_small() -> None:
    assert NAMES
    assert {path.name for path in WEIGHTS.iterdir()} == {*NAMES}
    assert sum(read_card(name).size for name in NAMES) <= 12_000_000


def test_the_page_lists_the_cards(load_script: Callable) -> None:
    assert load_script("release_weights").page() == (REPOSITORY / "docs/PRETRAINED.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", [name if name == "addition_lstm" else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_the_score_of_the_card_is_computed_again(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = read_card(name)
    if card.data not in GENERATED:
        monkeypatch.setenv("SEQZOO_DATA", str(request.getfixturevalue("real_data_root")))
    scores = seqzoo.evaluate(f"pretrained:{name}", card.split, device="cpu")
    assert f"{scores[card.metric]:.4g}" == f"{card.score:.4g}"


def test_weights_are_used_in_single_precision() -> None:
    loaded = seqzoo.load(ADDITION)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert [prediction.answer for prediction in loaded.predict(["535+61", "1+99"])] == ["596", "100"]


def test_commands_take_a_name_for_a_run_directory(command: Callable) -> None:
    assert command("predict", ADDITION, "12+30").out == "42\n"
    assert command("diff", ADDITION, ADDITION).out == "no differences\n"
    assert command("list", "pretrained", "addition*").out.startswith("addition_lstm  sums of two numbers")
    assert "exact_match 0.9996 (test)" in command("info", ADDITION).out
    assert "0.9996" in command("compare", "pretrained:addition*").out
    assert command("compare", "pretrained:nothing*").err.startswith("seqzoo: there is no pretrained network named")


def test_an_unknown_name_is_an_error(command: Callable) -> None:
    assert command("predict", "pretrained:additon_lstm", "1+1").err == (
        "seqzoo: there is no pretrained network named 'additon_lstm'. Did you mean 'addition_lstm'?\n"
    )
    with pytest.raises(ConfigError, match=r"no pretrained network named '\.\./cell/lstm'"):
        seqzoo.load("pretrained:../cell/lstm")


def test_weights_that_are_not_those_of_the_card_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(WEIGHTS / "addition_lstm", tmp_path / "addition_lstm")
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path)
    weights = tmp_path / "addition_lstm" / BEST
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(CheckpointError, match="is damaged: its sha256 is not that of its card"):
        seqzoo.load(ADDITION)
    weights.unlink()
    with pytest.raises(CheckpointError, match="is missing: install seqzoo again"):
        seqzoo.load(ADDITION)
