"""Build sdist and wheel into dist/, check them, and train with the wheel on every Python that is installed.

python scripts/release.py                         # Python 3.10 to 3.14, those that are there
python scripts/release.py --pythons python3.12    # these
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DIST = REPOSITORY / "dist"
PYTHONS = tuple(f"python3.{minor}" for minor in range(10, 15))
MEGABYTE = 2**20
LARGEST_WHEEL = 15
"""Maximum size of the wheel in megabytes."""


def run(*command: str | Path, folder: Path = REPOSITORY) -> str:
    """The output of a command; SystemExit with the output if it fails.

    Args:
        *command: program and arguments.
        folder: where it is run; this checkout is not on its path of modules.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with status {done.returncode}:\n{done.stdout}")
    return done.stdout


def build() -> tuple[Path, Path]:
    """Build into an empty dist/; returns sdist and wheel."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "hatchling", "build", "-d", DIST)
    [sdist], [wheel] = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    size = wheel.stat().st_size / MEGABYTE
    print(f"{sdist.name}  {wheel.name}, {size:.1f} MB", flush=True)
    if size > LARGEST_WHEEL:
        raise SystemExit(f"the wheel has {size:.1f} MB: it must have at most {LARGEST_WHEEL}")
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    return sdist, wheel


def train(python: str, wheel: Path) -> str:
    """Install the wheel into an empty environment of a Python and train; returns the version of Python."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = folder / "environment"
        run(python, "-m", "venv", environment)
        programs = environment / ("Scripts" if os.name == "nt" else "bin")
        pip = (programs / "python", "-m", "pip", "install", "-q", "-c", REPOSITORY / "constraints.txt")
        run(*pip, wheel, folder=folder)
        run(programs / "seqzoo", "train", "debug=tiny", "hydra.run.dir=run", folder=folder)
        run(programs / "seqzoo", "predict", "run", "1+1", folder=folder)
        return run(programs / "python", "--version", folder=folder).strip()


def installed(names: Sequence[str]) -> list[str]:
    """The Pythons of these names that can be run and have the module venv."""
    return [name for name in names if shutil.which(name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pythons", nargs="+", default=PYTHONS, metavar="PYTHON", help="those to test")
    arguments = parser.parse_args()
    pythons = installed(arguments.pythons)
    if not pythons:
        raise SystemExit(f"none of {', '.join(arguments.pythons)} is installed: give one with --pythons")
    _, wheel = build()
    for python in pythons:
        print(f"{train(python, wheel)}: trained and predicted with the wheel", flush=True)
    missing = sorted({*arguments.pythons} - {*pythons})
    if missing:
        print(f"not installed here: {', '.join(missing)}")


if __name__ == "__main__":
    main()
