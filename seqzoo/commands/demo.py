"""Try runs in the browser."""

from __future__ import annotations

import argparse
import importlib.util

from seqzoo.commands.command_line import add_allow_module, find_modules_here
from seqzoo.configuration.pretrained import PREFIX, list_pretrained
from seqzoo.contracts.errors import ConfigError, not_installed


def demo(arguments: list[str]) -> None:
    """Serve a page in the browser with a tab for each run, until Ctrl-C."""
    parser = argparse.ArgumentParser(
        "seqzoo demo",
        description="A page in the browser with a tab for each run, and one that compares two of them. The page "
        "requests nothing from other machines.",
    )
    parser.add_argument(
        "run_dir", nargs="*", help="run directories, or pretrained:NAME; default: all pretrained networks"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at (default: 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, help="port to serve at (default: the first free one from 7860 on)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    add_allow_module(parser, "the runs may use")
    chosen = parser.parse_intermixed_args(arguments)
    if chosen.allow_module:
        find_modules_here()
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError([f"the demo needs {not_installed('gradio', 'demo')}"])
    from seqzoo.runs.demo.serving import serve
    from seqzoo.runs.demo.shown import shown_runs

    run_dirs = chosen.run_dir or [f"{PREFIX}{name}" for name in list_pretrained()]
    serve(shown_runs(run_dirs, chosen.allow_module), chosen.host, chosen.port, chosen.open)
