"""Looks up options in a configuration, and suggests what an unknown name may have been meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from seqzoo.configuration import registry
from seqzoo.contracts.errors import closest
from seqzoo.contracts.options import Options


def has_option(override: str, config: Options, mistakes: list[str]) -> bool:
    """Whether a configuration has an option; if not, an error message is added to `mistakes`. With `+`, only the
    group is looked up; its class checks the option.
    """
    key = override.split("=", 1)[0].lstrip("~+")
    if key.startswith(("hydra.", "hydra/")):
        return True
    node: Any = {name: value for name, value in config.items() if name != "choices"}
    path = key.split(".")
    for depth, part in enumerate(path[:1] if override.startswith("+") else path):
        if not isinstance(node, dict):
            mistakes.append(f"{key}: {'.'.join(path[:depth])} has no options below it")
            return False
        if part not in node:
            advice = _advice(part, node, path[:depth], config)
            if "class" in node and depth > 1:  # YAMLs list only the main options of inner components
                advice += f"{'' if advice.endswith('?') else '.'} If its class has it, add it: +{override}"
            mistakes.append(f"there is no option {key!r}{advice}")
            return False
        node = node[part]
    return True


OTHER_NAMES = {
    "lr": "learning_rate", "bs": "batch_size", "wd": "weight_decay", "optim": "optimizer", "scheduler": "schedule",
    "max_steps": "steps", "max_epochs": "epochs", "clip": "clip_norm", "grad_clip": "clip_norm", "amp": "precision",
    "gpu": "device", "early_stopping": "patience", "hidden": "hidden_size", "hidden_dim": "hidden_size",
    "units": "hidden_size", "d_model": "hidden_size", "layers": "num_layers", "n_layers": "num_layers",
    "embedding_dim": "embedding_size", "model": "cell", "rnn": "cell", "vocab_size": "vocabulary_size",
}  # fmt: skip
"""Names of options in other programs -> names in seqzoo."""


def _advice(name: str, node: Options, above: list[str], config: Options) -> str:
    """A suggestion for an unknown option, for the end of a sentence.

    Args:
        name: the unknown name.
        node: the options of the group that it was looked up in.
        above: the path of that group.
        config: the whole configuration.
    """
    wanted = OTHER_NAMES.get(name, name)
    everywhere = [path for group, options in config.items() if group != "choices" for path in _paths({group: options})]
    in_group = [path for path in everywhere if path.startswith("".join(f"{part}." for part in above))]
    if len(above) > 1:  # an inner component, whose options belong to its class
        everywhere = in_group
    for paths in (in_group, everywhere):
        same = sorted((path for path in paths if path.rpartition(".")[2] == wanted), key=lambda path: path.count("."))
        same = [path for path in same if path.count(".") == same[0].count(".")]
        if same:
            return f": it is {' or '.join(map(repr, same[:3]))}"
    near_in_group = difflib.get_close_matches(name, node, n=1, cutoff=0.6)
    ends = {path.rpartition(".")[2]: path for path in sorted(everywhere, key=lambda path: -path.count("."))}
    # groups of options are candidates, too
    near = [] if above and near_in_group else difflib.get_close_matches(name, [*near_in_group, *ends], n=1, cutoff=0.7)
    if near and near != near_in_group:
        return f". Did you mean {ends[near[0]]!r}?"
    if len(above) == 1 and above[0] in config.get("choices", {}):
        elsewhere = _advice_of_other_names(name, above[0], config["choices"][above[0]], near_in_group)
        if elsewhere:
            return elsewhere
    return closest(name, [option for option in node if option != "class"], ".".join(above))


def _advice_of_other_names(name: str, group: str, chosen: str, near_in_group: list[str]) -> str:
    """A suggestion for an option that other names of a group have; empty: none of them has it.

    Args:
        name: the unknown option.
        group: such as "data".
        chosen: the name that was chosen, which has no such option.
        near_in_group: options of a similar name that it has.
    """
    owners = registry.having(group)
    meant = [name] if name in owners else difflib.get_close_matches(name, owners, n=1, cutoff=0.75)
    if not meant or (meant != [name] and near_in_group):
        return ""
    listed = ", ".join(owners[meant[0]][:MOST_OWNERS]) + ", ..." * (len(owners[meant[0]]) > MOST_OWNERS)
    question = "" if meant == [name] else f" Did you mean '{group}.{meant[0]}'?"
    return f".{question} {group}={chosen} does not have it, but these do: {listed}"


MOST_OWNERS = 12
"""Maximum number of names in a suggestion."""


def _paths(options: Options, above: str = "") -> Iterator[str]:
    """The paths of options and of those in their groups."""
    for name, value in options.items():
        yield f"{above}{name}"
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{name}.")
