"""Fixtures of all tests: one thread, a fixed seed, and real data where it is available."""

from __future__ import annotations

import gc
import importlib.util
import io
import logging
import os
import pickle
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy
import pytest
import torch
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra.plugins.config_source import ConfigResult, ConfigSource

from seqzoo.commands import main as cli
from seqzoo.configuration import registry
from seqzoo.kernels.fused import scan as fused
from seqzoo.kernels.fused.cpu import native
from seqzoo.training import diagnostics
from seqzoo.training.record import run as record
from tests import torchvision_stand_in

REPOSITORY = Path(__file__).resolve().parents[1]

# Small steps on several threads are many times slower than on one when the machine is busy.
torch.set_num_threads(1)
torchvision_stand_in.install()

# Hundreds of steps are compiled, also by the commands that tests start, in an eighth of the time.
os.environ["SEQZOO_CXXFLAGS"] = "-O0"


def pytest_collection() -> None:
    """Thousands of tests are created, which all stay: looking for garbage among them takes a quarter of that time."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of what several processes have done come first: workers divide the last tests among themselves, and each
    would start these processes.
    """
    items.sort(key=lambda item: "shared" not in getattr(item, "fixturenames", ()))


def pytest_collection_finish() -> None:
    gc.enable()
    gc.set_threshold(5_000, 20, 40)  # thousands of live tests make each search slow


@pytest.fixture(autouse=True)
def seed() -> None:
    """Tests draw the same random numbers alone and in any order."""
    random.seed(0)
    numpy.random.seed(0)
    torch.default_generator.manual_seed(0)  # torch.manual_seed stores the stack for each type of device


@pytest.fixture(autouse=True)
def log_handlers() -> Iterator[None]:
    """Handlers that Hydra adds in a test are removed after it, because its streams are closed then."""
    before = list(logging.root.handlers)
    yield
    for handler in set(logging.root.handlers) - set(before):
        logging.root.removeHandler(handler)


@pytest.fixture(autouse=True)
def pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """None are drawn for TensorBoard, which takes half as long as a tiny training. A file that tests them has a fixture
    of this name that does nothing.
    """
    for module in (diagnostics, record):
        monkeypatch.setattr(module, "can_draw", lambda: False)


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of tests need not survive a power failure, so that nothing is synchronised to disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(autouse=True, scope="session")
def parsed_once() -> Iterator[None]:
    """Hydra parses each of its files once for all tests, instead of once for each composition."""
    parsed: dict[tuple[object, ...], bytes] = {}

    def load_config(source: ConfigSource, config_path: str) -> ConfigResult:
        file = Path(source.path, source._normalize_file_name(config_path))
        state = file.stat() if file.is_file() else None  # of a file, as tests write some
        key = (type(source), source.provider, file, state and (state.st_ino, state.st_mtime_ns, state.st_size))
        if key not in parsed:
            parsed[key] = pickle.dumps(loads[type(source)](source, config_path))
        return pickle.loads(parsed[key])

    loads = {kind: kind.load_config for kind in (FileConfigSource, ImportlibResourcesConfigSource)}
    with pytest.MonkeyPatch.context() as patch:
        for kind in loads:
            patch.setattr(kind, "load_config", load_config)
        yield


@pytest.fixture
def optimised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are compiled as they are outside of tests."""
    monkeypatch.delenv("SEQZOO_CXXFLAGS")
    monkeypatch.setattr(native, "load", native.load.__wrapped__)
    monkeypatch.setattr(fused, "_programs", {})


@pytest.fixture(scope="session")
def real_data_root() -> Path:
    """The folder with one sub-folder per real data set; skips the test where there is none."""
    chosen = os.environ.get("SEQZOO_TEST_DATA")
    root = Path(chosen) if chosen else REPOSITORY.parent / "shared" / "data"
    if root.is_dir():
        return root
    if chosen:
        pytest.fail(f"SEQZOO_TEST_DATA names {chosen}, which is not a folder.")
    pytest.skip("no real data: set SEQZOO_TEST_DATA to a folder with one sub-folder for each data set (multi30k, ...)")


@pytest.fixture(scope="session")
def load_script() -> Callable[[str], ModuleType]:
    """Load a program of scripts/ as a module: load_script("benchmark")."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def browser() -> Iterator[Any]:
    """A browser without a window, which logs its requests; skips the test where there is none."""
    selenium = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install selenium")
    from selenium.webdriver.chrome.service import Service

    program, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = program
    for argument in ("headless", "no-sandbox", "disable-background-networking", "window-size=1600,1000"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    browser = selenium.Chrome(options, Service(driver))
    yield browser
    browser.quit()


class Done(NamedTuple):
    """The exit status of a command, and its output."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Done]:
    """Run `seqzoo` in this process, in an empty folder: command("list", "cells", stdin="") -> Done."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(registry, "_user_dirs", [])

    def run(*arguments: str | Path, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        status = 0
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as exit:
            status = exit.code
        return Done(status, *capsys.readouterr())

    return run
