"""Learn from a stream of text."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from seqzoo.commands.command_line import add_allow_module, check_new, find_modules_here, pairs_of
from seqzoo.contracts.errors import ConfigError


def learn(arguments: list[str]) -> None:
    """Learn from a text while it arrives, and print the prequential loss."""
    parser = argparse.ArgumentParser(
        "seqzoo learn",
        description="Continue a language model on a stream of text, which is read once: each window of data.window "
        "tokens is predicted first, and learned from then. A new stream, --to DIR, begins with the weights of RUN_DIR; "
        "without --to, RUN_DIR is that of an earlier stream, which goes on.",
    )
    parser.add_argument("run_dir", type=Path, help="a run directory, or pretrained:NAME")
    parser.add_argument("text", nargs="?", type=Path, help="a text file; none: standard input")
    parser.add_argument(
        "options",
        nargs="*",
        help="options that replace those of the run: learning_rate=, clip_norm=, window=, log_every=, save_every=, "
        "device=, threads=",
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="new run directory of the stream")
    parser.add_argument("--follow", action="store_true", help="at the end of the file, wait for more text")
    add_allow_module(parser)
    chosen = parser.parse_intermixed_args(arguments)
    text, options = chosen.text, chosen.options
    if text is not None and "=" in text.name and not text.exists():
        text, options = None, [str(text), *options]
    if chosen.follow and text is None:
        raise ConfigError(["--follow waits for a file that grows: give the file; standard input is always waited for"])
    values = _values(options)
    check_new(chosen.to)
    if chosen.allow_module:
        find_modules_here()
    from seqzoo.runs.launch import until_stopped
    from seqzoo.runs.learning_from_streams import learn_from_stream

    until_stopped(
        lambda: learn_from_stream(chosen.run_dir, text, chosen.to, chosen.follow, values, chosen.allow_module)
    )


def _values(options: list[str]) -> dict[str, Any]:
    """Options of the command as options of the configuration, by path."""
    training = ("learning_rate", "clip_norm", "log_every", "save_every", "device", "threads")
    pairs = pairs_of(options, (*training, "window"))
    values: dict[str, Any] = {}
    for name, text in pairs.items():
        path = "data.window" if name == "window" else f"training.{name}"
        try:
            number = int if name in ("window", "log_every", "threads") else float
            values[path] = text if name == "device" or text == "auto" else None if text == "null" else number(text)
        except ValueError:
            kind = "a whole number" if number is int else "a number"
            raise ConfigError([f"{name} is {text!r}: it must be {kind}"]) from None
    return values
