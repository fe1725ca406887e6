"""Conversion of runs of older versions. Nothing here imports torch."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from seqzoo.contracts.options import Options

T = TypeVar("T")

# before the options of task=transduction were grouped, `decoder` was the backbone alone
OF_DECODER = (
    "context", "attention", "attention_size", "attention_heads", "input_feeding", "embedding_size", "embedding_std",
    "tied_embeddings", "dropout",
)  # fmt: skip
OF_SEARCH = (
    "beam_size", "length_penalty", "coverage_penalty", "max_length", "min_length", "same_length", "no_repeat", "prefix",
)  # fmt: skip
OF_SAMPLING = {"scheduled_sampling": "kind", "sampling_steps": "steps", "sampling_limit": "limit"}
# the same for task=language_modeling and verse
WRITING = {
    "temperature": "temperature", "top_k": "top_k", "top_p": "top_p", "no_repeat": "no_repeat",
    "sample_length": "max_length", "beam_size": "beam_size",
}  # fmt: skip
PARTS_OF_DECODER = ("embedding", "bridge", "attention", "combine", "head")


BPTT = {"class": "BackpropagationThroughTime", "carry_state": True}
"""The learning rule of runs that were trained before rules were options, and the default one."""


def with_learning_rule(config: Options) -> Options:
    """The configuration of a run with its learning rule."""
    if "learning" in config:
        return config
    return {**config, "learning": dict(BPTT), "choices": {**config["choices"], "learning": "bptt"}}


def grouped(config: Options) -> Options:
    """The configuration of a run with the options of its task in groups, and with the current names of metrics."""
    config = _with_target_word_dropout(config)
    task = config["task"]
    if isinstance(task.get("metrics"), list) and not _has_likelihood(task):
        metrics = ["loss" if name == "loss_nats" else name for name in task["metrics"]]
        task = {**task, "metrics": metrics}
        config = {**config, "task": task}
    if "sample_length" in task:
        return _with_search(config)
    if task.get("class") != "Transduction" or "context" not in task:
        return config
    decoder = {"backbone": task["decoder"], **{name: task[name] for name in OF_DECODER if name in task}}
    search = {name: task[name] for name in OF_SEARCH if name in task}
    sampling = {new: task[old] for old, new in OF_SAMPLING.items() if old in task}
    moved = {"decoder", *OF_DECODER, *OF_SEARCH, *OF_SAMPLING}
    rest = {name: value for name, value in task.items() if name not in moved}
    groups = {"decoder": decoder, "search": search, "scheduled_sampling": sampling}
    return {**config, "task": {**rest, **groups}, "overrides": [_moved(text) for text in config["overrides"]]}


def _with_target_word_dropout(config: Options) -> Options:
    """The configuration of a run with `task.target_word_dropout`, which had the name of an option of the data."""
    task = config["task"]
    if task.get("class") != "Transduction" or "word_dropout" not in task:
        return config
    task = {f"target_{name}" if name == "word_dropout" else name: value for name, value in task.items()}
    pattern = re.compile(r"^(\+*|~)task\.word_dropout(?==|$)")
    overrides = [pattern.sub(r"\1task.target_word_dropout", text) for text in config["overrides"]]
    return {**config, "task": task, "overrides": overrides}


def _has_likelihood(task: Options) -> bool:
    return task.get("class") != "Regression" and task.get("labels") != "numbers"


def named_losses(metrics: dict[str, Any], task: Options) -> dict[str, Any]:
    """The scores of a run by their current names: only negative log-likelihoods are called loss_nats."""
    if _has_likelihood(task):
        return metrics
    return {
        name: {"loss" if key == "loss_nats" else key: value for key, value in part.items()}
        if isinstance(part, dict)
        else part
        for name, part in metrics.items()
    }


def _with_search(config: Options) -> Options:
    """The configuration of a language model with the options of its decoding below `search`."""
    task = config["task"]
    search = {new: task[old] for old, new in WRITING.items() if old in task}
    if search.get("beam_size", 1) > 1:
        search["temperature"] = 0.0  # a beam did not sample
    rest = {name: value for name, value in task.items() if name not in WRITING}
    pattern = re.compile(rf"^(\+*|~)task\.({'|'.join(WRITING)})(?==|$)")
    overrides = [pattern.sub(lambda m: f"{m[1]}task.search.{WRITING[m[2]]}", text) for text in config["overrides"]]
    return {**config, "task": {**rest, "search": search}, "overrides": overrides}


def _moved(override: str) -> str:
    """An override with the current name of its option."""
    match = re.match(r"(\+*|~)task\.(\w+)(.*)", override, re.DOTALL)
    if match is None:
        return override
    sign, name, rest = match.groups()
    if name == "decoder":
        name = "decoder.backbone"
    elif name in OF_DECODER:
        name = f"decoder.{name}"
    elif name in OF_SEARCH:
        name = f"search.{name}"
    elif name in OF_SAMPLING:
        name = f"scheduled_sampling.{OF_SAMPLING[name]}"
    return f"{sign}task.{name}{rest}"


def renamed(tensors: dict[str, T]) -> dict[str, T]:
    """The weights of a model by their current names."""
    if "task.embedding.weight" not in tensors:
        return tensors
    current = {}
    for name, tensor in tensors.items():
        first, _, rest = name.removeprefix("task.").partition(".")
        if name.startswith("task.decoder."):
            name = f"task.decoder.backbone.{rest}"
        elif name.startswith("task.") and first in PARTS_OF_DECODER:
            name = f"task.decoder.{first}.{rest}"
        current[name] = tensor
    return current
