"""Trees as lines of text and as pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seqzoo.contracts.capabilities import ScoredTree
from seqzoo.contracts.tree_notation import parse_tree, tree_over
from seqzoo.inspection.tree_drawing import LARGEST, draw_tree, tree_lines
from tests.conftest import Done

PNG = b"\x89PNG"


@pytest.fixture(autouse=True)
def pictures() -> None:
    """They are drawn."""


def test_a_tree_is_drawn_from_its_root() -> None:
    tree = parse_tree("(3 (2 It) (4 (4 really) (3 shines)) (2 !))", "brackets")
    assert tree_lines(ScoredTree(tree, [0.98, 0.6, 0.5, 0.7, 1.0, 0.624])) == [
        "3 (0.62)",
        "├─ 2 It (0.98)",
        "├─ 4 (0.70)",
        "│  ├─ 4 really (0.60)",
        "│  └─ 3 shines (0.50)",
        "└─ 2 ! (1.00)",
    ]


def test_a_deep_tree_and_an_empty_one() -> None:
    deep = tree_over([str(number) for number in range(1_500)], "right")
    assert len(tree_lines(ScoredTree(deep, [1.0] * len(deep.words)))) == 2_999
    assert tree_lines(ScoredTree(deep._replace(words=[], parents=[], labels=[]), [])) == []


def test_a_picture_has_children_below_parents_and_words_in_their_order() -> None:
    tree = parse_tree("(3 (2 It) (4 (4 really) (3 shines)) (2 !))", "brackets")
    scored = ScoredTree(tree, [0.98, 0.6, 0.5, 0.7, 1.0, 0.624], ["2", "3", "", "4", "2", "3"], ["2", "3", "4"])
    figure = draw_tree(scored)
    [axes] = figure.axes
    labels = [text for text in axes.texts if text.get_bbox_patch() is not None]
    assert [text.get_text() for text in labels] == ["2", "4/3", "3", "4", "2", "3"]
    places = [text.get_position() for text in labels]
    assert [y for _, y in places] == [0, 0, 0, 1, 0, 2]
    leaves = [places[node][0] for node in (0, 1, 2, 4)]
    assert leaves == sorted(leaves)
    assert places[3][0] == (leaves[1] + leaves[2]) / 2
    others = [text.get_text() for text in axes.texts if text.get_bbox_patch() is None]
    assert others[::2] == ["0.98", "0.60", "0.50", "0.70", "1.00", "0.62"]
    assert others[1::2] == tree.words
    frames = [text.get_bbox_patch().get_edgecolor()[:3] for text in labels]
    assert [frame == (1, 0, 0) for frame in frames] == [False, True, *[False] * 4]
    fills = [text.get_bbox_patch().get_facecolor() for text in labels]
    assert fills[0][0] > fills[0][2], "the first class is red, the last one blue"
    assert fills[3][0] < fills[3][2]
    assert min(fills[1][:3]) > min(fills[3][:3]), "paler, because its probability is lower"


def test_a_tree_too_large_for_text_is_drawn_without_it() -> None:
    deep = tree_over(["w"] * 500, "left")
    figure = draw_tree(ScoredTree(deep, [1.0] * len(deep.words)))
    assert not figure.axes[0].texts
    assert len(figure.axes[0].collections[1].get_offsets()) == 999
    assert max(figure.get_size_inches()) == LARGEST
    draw_tree(ScoredTree(deep._replace(words=[], parents=[], labels=[]), []))


def test_pictures_in_tensorboard_and_by_predict(command: Callable[..., Done], tmp_path: Path) -> None:
    sizes = ["data.train_size=20", "data.validation_size=4", "data.test_size=4", "training.epochs=1"]
    options = ["training.diagnostics=1", "training.examples=2", "backbone.hidden_size=4", "hydra.run.dir=run"]
    trained = command("train", "task=tree_classification", *sizes, *options)
    assert trained.status == 0, trained.err
    assert "diagnostics are switched off" not in trained.out + trained.err
    events = EventAccumulator(str(tmp_path / "run"), size_guidance={"images": 0})
    events.Reload()
    assert {"valid/tree_1", "valid/tree_2"} <= set(events.Tags()["images"])
    done = command("predict", "run", "[MAX 2 [MIN 4 7 ] ]", "", "[MAX 2 3 ]", "--plot", "out.png")
    assert done.status == 0
    assert all((tmp_path / name).read_bytes().startswith(PNG) for name in ("out.png", "out-3.png"))
    assert not (tmp_path / "out-2.png").exists()
