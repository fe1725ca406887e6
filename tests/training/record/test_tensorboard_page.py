"""TensorBoard's page over a small sweep, in a real browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

# the page is made of elements inside elements, which a plain search does not see
FIND = """
const found = [], wanted = arguments[0];
(function search(root) {
  for (const element of root.querySelectorAll('*')) {
    if (element.matches(wanted)) found.push(element);
    if (element.shadowRoot) search(element.shadowRoot);
  }
})(document);
"""
TEXTS = FIND + "return found.map(element => element.textContent.replace(/\\s+/g, ' ').trim());"
WIDTHS = FIND + "return found.map(element => element.naturalWidth);"


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """The address of a running TensorBoard."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--load_fast", "false"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
        finally:
            process.terminate()


def test_the_page_shows_a_sweep(browser: Any, command: Callable, tmp_path: Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    sizes = ("debug=tiny", "data.train_size=64", "data.validation_size=8", "data.test_size=16")
    sweep = ("cell=elman,gru", "seed=0,1", "task=classification", "task.pooling=attention", "training.diagnostics=1")
    done = command("train", "-m", *sweep, *sizes, "hydra.sweep.dir=sweep")
    assert done.status == 0, done.err
    scores: dict[str, list[float]] = {}
    for path in tmp_path.glob("sweep/*/metrics.json"):
        metrics = json.loads(path.read_text())
        scores.setdefault(metrics["choices"]["cell"], []).append(metrics["test"]["accuracy"])

    with tensorboard(tmp_path / "sweep") as address:

        def texts(page: str, selector: str, awaited: str) -> list[str]:
            browser.get("about:blank")
            browser.get(f"{address}#{page}")
            WebDriverWait(browser, 60).until(lambda _: awaited in browser.execute_script(TEXTS, selector))
            return browser.execute_script(TEXTS, selector)

        # a row an architecture, its seeds averaged, and no other
        cells = texts("hparams", "vaadin-grid-cell-content", "gru")
        columns = cells[: cells.index("")]
        starts = [place for place, text in enumerate(cells) if re.match(r"\w+_unidirectional_grammar_sentiment_", text)]
        rows = {row["cell"]: row for row in (dict(zip(columns, cells[start:], strict=False)) for start in starts)}
        assert len(starts) == len(rows) == 2
        for cell, values in scores.items():
            assert len(values) == 2
            assert float(rows[cell]["final/test_accuracy"]) == pytest.approx(sum(values) / 2, abs=1e-4)

        curves = texts("scalars", ".heading, .name, h1, span, div", "jacobian_spectral_radius")
        assert {"gate_r/open", "test_accuracy"} <= set(curves)
        assert "loss" in texts("custom_scalars", "div, span, h3", "norm of the gradient")

        texts("images", "div, span", "final/confusion_test")
        WebDriverWait(browser, 60).until(lambda _: browser.execute_script(WIDTHS, "img"))
        WebDriverWait(browser, 60).until(lambda _: all(browser.execute_script(WIDTHS, "img")))
