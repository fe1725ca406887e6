"""Hyperparameter search."""

from __future__ import annotations

import argparse
from pathlib import Path

from seqzoo.commands.command_line import allow_own_modules


def search(arguments: list[str]) -> None:
    """Run trials whose options Optuna samples by the validation scores of earlier ones; poor trials are pruned."""
    parser = argparse.ArgumentParser(
        "seqzoo search",
        description="Options with several values are searched: cell=lstm,gru, backbone.num_layers=range(1,4), "
        "'training.learning_rate=tag(log,interval(1e-4,1e-1))', 'backbone.hidden_size=int(interval(32,256))'. The same "
        "command resumes a search; in several terminals it shares the trials.",
    )
    parser.add_argument("options", nargs="*", metavar="OPTION=VALUE", help="options as in train")
    parser.add_argument("--trials", type=int, default=20, help="total number of trials (default: 20)")
    parser.add_argument(
        "--to", type=Path, default=Path("runs", "search"), metavar="DIR", help="output folder (default: runs/search)"
    )
    chosen = parser.parse_intermixed_args(arguments)
    allow_own_modules(chosen.options)
    from seqzoo.runs.hyperparameter_search import search

    search(chosen.options, chosen.trials, chosen.to)
