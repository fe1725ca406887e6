"""Score a finished run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from seqzoo.commands.command_line import add_allow_module, find_modules_here, pairs_of
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.strict_json import to_json
from seqzoo.data.splits import FILES_TO_SCORE


def evaluate(arguments: list[str]) -> None:
    """Print the scores of a run on one split as JSON."""
    parser = argparse.ArgumentParser(
        "seqzoo evaluate", description="Score the best weights of a run on one split of its data."
    )
    parser.add_argument("run_dir", type=Path, help="a run directory, or pretrained:NAME")
    parser.add_argument(
        "options",
        nargs="*",
        help="split=test, validation or train (default: test, or validation where there is no test split); device=, "
        "precision=, threads=. data.test=FILE (data.validation=, data.test_source=, data.test_target=) scores a new "
        "file with the run's vocabulary. For language models: cache=500 "
        "adds a neural cache of that many steps (cache_flatness=, cache_weight=), scored as perplexity_cache; "
        "dynamic=0.1 adds dynamic evaluation with that learning rate (dynamic_decay=), scored as perplexity_dynamic",
    )
    add_allow_module(parser)
    chosen = parser.parse_intermixed_args(arguments)
    adapting = ("cache", "cache_flatness", "cache_weight", "dynamic", "dynamic_decay")
    scored = tuple(f"data.{option}" for option in FILES_TO_SCORE)
    options = pairs_of(chosen.options, ("split", "device", "precision", "threads", *scored, *adapting))
    files = {name.removeprefix("data."): str(options.pop(name)) for name in scored if name in options}
    split = options.pop("split", None)
    if options.get("threads", "").isdecimal():
        options["threads"] = int(options["threads"])
    if chosen.allow_module:
        find_modules_here()
    from seqzoo.runs.lifecycle import evaluate_run

    adaptation = {name: _number(name, options.pop(name)) for name in adapting if name in options}
    split, scores = evaluate_run(chosen.run_dir, split, options, chosen.allow_module, adaptation, files)
    print(_as_json({"split": split, **scores}))


def _as_json(value: Any, margin: str = "") -> str:
    """JSON with a line for each score, each class, and each row of a matrix."""
    inner = margin + "  "
    parts: list[Any] = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if not any(isinstance(part, (dict, list)) for part in parts) and margin:
        return to_json(value)
    texts = [_as_json(part, inner) for part in parts]
    if isinstance(value, dict):
        texts = [f"{to_json(key)}: {text}" for key, text in zip(value, texts, strict=True)]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    return begin + "\n" + ",\n".join(inner + text for text in texts) + "\n" + margin + end


def _number(name: str, value: str) -> float:
    try:
        return int(value) if name == "cache" else float(value)
    except ValueError:
        kind = "an integer" if name == "cache" else "a number"
        raise ConfigError([f"{name} is {value!r}: it must be {kind}"]) from None
