"""README.md and docs/*.md: commands are valid, links lead somewhere, Python blocks run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seqzoo.commands.main import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[1]
GENERATED = ("CELLS.md", "EXPORT.md", "LEARNING.md", "OWN_FILES.md", "RESULTS.md", "SPEED.md")
PAGES = [
    REPOSITORY / "README.md",
    *(page for page in sorted((REPOSITORY / "docs").glob("*.md")) if page.name not in GENERATED),
]


def commands_of(page: Path) -> list[str]:
    """The indented commands of a page, and those in comments and tables."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    shown = [line.partition(" # ")[0].strip() for line in re.findall(r"^    (seqzoo .*)", text, re.MULTILINE)]
    return [*shown, *re.findall(r"`(seqzoo [^`]+)`", text)]


def checkable(command: str) -> Iterator[str]:
    """Options for `seqzoo check` in place of `train`; for a sweep, those of its first job."""
    arguments = shlex.split(command)[2:]
    for argument in arguments:
        name, _, value = argument.partition("=")
        if "-m" in arguments and not value.startswith("["):
            value = "" if value.startswith(("range(", "glob(")) else value.partition(",")[0]
        if value and argument != "...":
            yield f"{name}={value}"


TRAINED = sorted(
    {
        command
        for page in PAGES
        for command in commands_of(page)
        if command.startswith("seqzoo train ")
        and not re.search(r"resume=|init=RUN_DIR|\[OPTION|--help|train (-m )?\.\.\.", command)
    }
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_exists(page: Path) -> None:
    assert {command.split()[1].strip("`") for command in commands_of(page)} <= {*COMMANDS, "--help"}


@pytest.mark.parametrize("trained", TRAINED)
def test_every_configuration_has_no_mistakes(trained: str, command: Callable) -> None:
    done = command("check", *checkable(trained))
    assert (done.status, done.err) == (0, "")


@pytest.mark.parametrize("page", [*PAGES, REPOSITORY / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", ["README.md", "docs/LIBRARY.md"])
def test_the_python_blocks_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, as in one session, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    names: dict = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        exec(compile(block, page, "exec"), names)


def test_the_number_of_cells_is_the_current_one() -> None:
    number = len([*(REPOSITORY / "conf" / "cell").glob("*.yaml")])
    front, training = ((REPOSITORY / page).read_text(encoding="utf-8") for page in ("README.md", "docs/TRAINING.md"))
    [row] = re.findall(r"^\| `cell` \| (.*) and (\d+) more \|$", front, re.MULTILINE)
    assert len(row[0].split()) + int(row[1]) == number
    assert f"- **{number} recurrent cells" in front
    assert f"| `cell` | {number} names, from" in training
