"""The wheel: installed elsewhere and run from an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """The output of a command that is run from `folder`, without this checkout on its path."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command,
        cwd=folder,
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a fresh environment with the wheel; its dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("package")
    pip = (sys.executable, "-m", "pip")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, folder=REPOSITORY)
    [wheel] = folder.glob("seqzoo-*.whl")

    environment = folder / "environment"
    venv.create(environment)
    places = {"base": str(environment), "platbase": str(environment)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", vars=places))
    programs = Path(sysconfig.get_path("scripts", "venv", vars=places))
    # A path in a .pth file is searched last, and .pth files found there, as of an editable install, are not read.
    dependencies = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (site_packages / "dependencies.pth").write_text("\n".join(dependencies), encoding="utf-8")
    run(*pip, "--python", programs / "python", "install", "--no-deps", "--no-index", wheel, folder=folder)
    return programs


def test_the_wheel_trains_from_an_empty_folder(programs: Path, tmp_path: Path) -> None:
    code = "import seqzoo; print(seqzoo.__file__)"
    imported = run(programs / "python", "-c", code, folder=tmp_path).strip()
    assert Path(imported).is_relative_to(programs.parent)
    assert list((Path(imported).parent / "conf").rglob("*.yaml"))
    assert (Path(imported).parent / "py.typed").exists()

    said = run(programs / "seqzoo", "train", "debug=tiny", "data.train_size=64", folder=tmp_path, OMP_NUM_THREADS="1")
    assert len(list(tmp_path.rglob("metrics.json"))) == 1
    tensorboard, folder = said.splitlines()[-1].split(" --logdir ")
    assert (tmp_path / folder).is_dir()
    assert re.search(r"^\d+\.\d+", run("sh", "-c", f"{tensorboard} --version_tb", folder=tmp_path), re.MULTILINE)


def test_the_page_on_installing_names_every_optional_package() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]\n")[2].partition("\ndev = ")[0]
    extras = {
        name: set(re.findall(r'"([\w-]+)', packages)) for name, packages in re.findall(r"^(\w+) = (.*)$", section, re.M)
    }
    told = re.findall(
        r"^\| [^|]+ \| `(\w+)` \| (`.*) \|$", (REPOSITORY / "docs/INSTALL.md").read_text(encoding="utf-8"), re.M
    )
    assert {name: set(re.findall("`([\\w-]+)", packages)) for name, packages in told} == extras
