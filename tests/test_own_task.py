"""A task and data of one's own, outside seqzoo: what CONTRIBUTING.md says, followed to the letter."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

GUIDE = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = GUIDE[GUIDE.index("### A task and data of your own") : GUIDE.index("## Add a data set")]
FILES = dict(re.findall(r"`(my_[\w/]+\.(?:py|yaml))`[^`]*:\n\n```\w+\n(.*?)```", SECTION, re.DOTALL))
[COMMANDS] = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture(autouse=True)
def my_parts(tmp_path: Path) -> Iterator[None]:
    assert set(FILES) == {
        "my_parts.py", "my_conf/task/focal.yaml", "my_conf/data/vowels.yaml",
    }  # fmt: skip
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    yield
    sys.modules.pop("my_parts", None)


def test_every_command_of_the_guide_works(command: Callable) -> None:
    listed, checked, trained, predicted, evaluated = [command(*shlex.split(line)[1:]) for line in COMMANDS.splitlines()]
    for done in (listed, checked, trained, predicted, evaluated):
        assert (done.status, done.err) == (0, "")
    assert re.search(r"^focal +tagging with the focal loss", listed.out, re.MULTILINE)
    assert checked.out.endswith("no mistakes\n")
    assert "task=focal data=vowels backbone=bidirectional" in trained.out
    assert predicted.out == "vowel consonant consonant consonant vowel\n", "it has learned what vowels are"
    assert '"accuracy": 1.0' in evaluated.out


def test_a_task_without_data_is_reported(command: Callable) -> None:
    Path("my_conf/task/bare.yaml").write_text("class: my_parts.FocalTagging\nmetrics: [accuracy]\n")
    check = ("check", "--config-dir", "my_conf", "task=bare", "allow_modules=[my_parts]")
    done = command(*check)
    told = (
        "seqzoo: task=bare has no data of its own: choose data=NAME, or write 'override /data@_global_.data: NAME' in "
        "the defaults of its YAML\n"
    )
    assert (done.status, done.err) == (2, told)
    assert command(*check, "data=vowels").out.endswith("no mistakes\n")
