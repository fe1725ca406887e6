"""Every YAML of conf/data names a class and exactly its options."""

from __future__ import annotations

import fnmatch
import inspect
from pathlib import Path
from typing import Any

import pytest

import seqzoo.data
from seqzoo import compose
from seqzoo.configuration.composing import load

CONF = Path(__file__).resolve().parents[2] / "conf"
NAMES = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))
BASES = (
    "text_files",
    "classification_files",
    "tagging_files",
    "tree_files",
    "parallel_files",
    "huggingface",
    "idx_images",
    "poem_files",
    "cloze_files",
    "caption_files",
    "music_files",
    "audio_files",
    "audio_classes",
    "audio_segments",
    "series_files",
    "forecast_files",
)


def loaded(name: str) -> dict[str, Any]:
    """The options of a data set, with a seed, which is otherwise that of the run."""
    data = load("data", name)
    return {**data, "seed": 3} if "seed" in data else data


@pytest.mark.parametrize("name", NAMES)
def test_options_are_those_of_the_class(name: str) -> None:
    data = loaded(name)
    constructor = getattr(seqzoo.data, data.pop("class"))
    assert set(data) == set(inspect.signature(constructor).parameters)
    built = constructor(**data)
    assert built.expected_spec().input_size > 0
    first = (CONF / "data" / f"{name}.yaml").read_text().split("\n")[0]
    assert first.startswith("# ")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in BASES])
def test_only_files_of_ones_own_have_to_be_named(name: str) -> None:
    data = loaded(name)
    assert "???" not in data.values()
    source = data.get("source")
    if source:
        paths = [
            str(value)
            for key, value in data.items()
            if key.startswith(("train", "validation", "test", "phrases")) and value
        ]
        named = {path.split("::")[0] for path in paths if "/" in path}
        assert all(any(fnmatch.fnmatch(file, path) for path in named) for file in source["files"])
        assert all(fnmatch.filter(source["files"], path) for path in named)
        assert all(len(checksum) == 64 for checksum in source["files"].values())
        assert (CONF / "data" / f"{source['name']}.yaml").is_file()


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("transduction", "Addition"),
        ("tagging", "GrammarTags"),
        ("classification", "GrammarSentiment"),
        ("language_modeling", "GrammarText"),
        ("regression", "Narma10"),
        ("forecasting", "MackeyGlass"),
        ("verse", "GeneratedPoems"),
        ("cloze", "GrammarCloze"),
        ("captioning", "Shapes"),
        ("transcription", "DialTones"),
        ("polyphony", "ChordProgressions"),
    ],
)
def test_every_task_has_generated_data_by_default(task: str, expected: str) -> None:
    assert compose(f"task={task}").data["class"] == expected
