"""Drawn shapes: what is said of a picture is what is on it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
import torch

from seqzoo.data.generated.shapes import (
    COLOURS,
    SHAPES,
    SIZE,
    Figure,
    Scene,
    Shapes,
    draw,
    split_of_figure,
    split_of_pair,
)

SMALL: dict[str, Any] = {"train_size": 200, "validation_size": 60, "test_size": 60}


@pytest.fixture(scope="module")
def data() -> Shapes:
    data = Shapes(**SMALL)
    data.load()
    return data


SPLITS = ("train", "validation", "test")


def scenes(data: Shapes, split: str) -> list[Scene]:
    return data._encoded[split].pictures.scenes


def test_two_figures_that_are_held_out_are_together_in_no_other_split(data: Shapes) -> None:
    for split in SPLITS:
        for scene in scenes(data, split):
            if len({str(figure) for figure in scene.figures}) == 2:
                assert split_of_pair(*scene.figures) == split_of_pair(*scene.figures[::-1]) == split
            else:
                assert split == "train"
    figures = [Figure(shape, colour, 9.0, 0, 0, 0) for shape in SHAPES for colour in COLOURS]
    owners = Counter(split_of_pair(a, b) for a, b in itertools.combinations(figures, 2))
    assert owners.total() == 2016
    assert 150 < owners["validation"] < 250
    assert 150 < owners["test"] < 250


def test_figures_that_are_held_out_are_in_no_other_split() -> None:
    data = Shapes(held_out="things", **SMALL)
    shown: set[str] = set()
    for split, found in data.read().items():
        for scene in found.pictures.scenes:
            owners = {split_of_figure(figure) for figure in scene.figures}
            assert split in owners
            assert owners <= {split, "train"}
            if split == "train":
                shown |= {name for figure in scene.figures for name in (figure.colour, figure.shape)}
    assert shown == {*COLOURS, *SHAPES}
    figures = [Figure(shape, colour, 9.0, 0, 0, 0) for shape in SHAPES for colour in COLOURS]
    for split in ("validation", "test"):
        held_out = [figure for figure in figures if split_of_figure(figure) == split]
        assert len({figure.colour for figure in held_out}) == len({figure.shape for figure in held_out}) == 8
        assert len(held_out) == 8


def test_captions_are_true(data: Shapes) -> None:
    for scene in [scene for split in SPLITS for scene in scenes(data, split)]:
        for figure in scene.figures:
            assert figure.radius <= figure.x <= SIZE - figure.radius
            assert figure.radius <= figure.y <= SIZE - figure.radius
        for caption in scene.captions:
            words = caption.split()
            if words[0] == "a" and len(words) > 3:
                first, second = (named(scene, part) for part in caption.removeprefix("a ").split(" a "))
                across, down = first.x - second.x, first.y - second.y
                right = {"left": -across, "right": across, "above": -down, "below": down}[words[3]]
                assert right > first.radius + second.radius > 2 * min(abs(across), abs(down))
            else:
                assert len(scene.figures) == {"a": 1, "two": 2, "three": 3}[words[0]]
                assert len({str(figure) for figure in scene.figures}) == 1
                assert named(scene, caption.split(" ", 1)[1])
        assert len(scene.captions) == len({str(figure) for figure in scene.figures})


def named(scene: Scene, words: str) -> Figure:
    return next(figure for figure in scene.figures if words.startswith(str(figure)))


@pytest.mark.parametrize(
    ("shape", "share"),
    [("circle", 0.785), ("square", 0.7225), ("diamond", 0.605), ("cross", 0.538), ("bar", 0.378), ("ring", 0.589)],
)
def test_a_shape_covers_its_area(shape: str, share: float) -> None:
    figure = Figure(shape, "white", 12.0, 30.0, 34.0, 0.0)
    picture = draw([Scene([figure], [""], 0.0)])[0]
    assert float(picture[0].sum()) / 0.96 == pytest.approx(share * 24 * 24, rel=0.03)
    weights = picture[0] / picture[0].sum()
    middles = torch.arange(SIZE) + 0.5
    assert float((weights.sum(0) * middles).sum()) == pytest.approx(30.0, abs=0.1)
    assert float((weights.sum(1) * middles).sum()) == pytest.approx(34.0, abs=0.1)


def test_every_colour_and_shape_looks_different() -> None:
    figures = [Figure(shape, colour, 7.0, 32, 32, 0) for shape in SHAPES for colour in COLOURS]
    pictures = draw([Scene([figure], [""], 0.1) for figure in figures]).flatten(1)
    distances = torch.cdist(pictures, pictures) + 100 * torch.eye(len(figures))
    assert distances.min() > 1


def test_batches_have_all_captions_as_references_and_take_them_in_turn(data: Shapes) -> None:
    trained: list[dict[float, str]] = [{}, {}]
    for epoch, found in enumerate(trained):
        for batch in data.batches("train", epoch):
            for picture, target, references in zip(batch.inputs, batch.targets, batch.references, strict=True):
                found[picture.sum().item()] = data.spec.targets.decode(target.tolist())
                assert found[picture.sum().item()] in references
                assert len(references) <= 2
    assert trained[0].keys() == trained[1].keys()
    changed = sum(trained[0][key] != trained[1][key] for key in trained[0])
    assert changed == sum(len(scene.captions) == 2 for scene in scenes(data, "train"))
    assert data.spec.output_size <= data.expected_spec().output_size == 36
    again = Shapes(**SMALL, seed=7).read()["test"].captions
    assert again == [scene.captions for scene in scenes(data, "test")]  # the same for every seed
    with pytest.raises(ValueError, match="train_size=0"):
        Shapes(train_size=0)
