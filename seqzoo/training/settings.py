"""The options of training and the ranges of their values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.options import Options


@dataclass(frozen=True)
class Training:
    """The section `training` of a configuration; `conf/training/base.yaml` documents the options.

    Raises:
        ConfigError: a value is out of its range.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "momentum": "optimizer=sgd,rmsprop",
        "betas": "optimizer=adam,adamw",
        "final_rate": "schedule=linear,cosine",
        "plateau_patience": "schedule=plateau",
        "plateau_factor": "schedule=plateau",
        "average_decay": "average=ema",
        "average_from": "average=swa",
        "nonmonotone": "average=nt_asgd",
        "patience": "keep=best",
    }

    epochs: int | None
    steps: int | None
    optimizer: Literal["adamw", "adam", "sgd", "rmsprop", "adagrad"]
    learning_rate: float
    weight_decay: float
    layer_decay: float
    freeze: Literal["none", "gradual", "body"]
    momentum: float
    betas: Sequence[float]
    schedule: Literal["constant", "linear", "cosine", "plateau"]
    final_rate: float
    warmup_steps: int
    plateau_patience: int
    plateau_factor: float
    average: Literal["none", "ema", "swa", "nt_asgd"]
    average_decay: float
    average_from: float
    nonmonotone: int
    clip_norm: float | None
    clip_value: float | None
    recurrent_l1: float
    recurrent_l2: float
    recurrent_norm: float | None
    accumulate: int
    patience: int | None
    keep: Literal["best", "last"]
    validate_every: int | None
    log_every: int
    save_every: float
    examples: int
    diagnostics: float
    profile: int
    device: str
    precision: Literal["fp32", "fp64", "bf16", "fp16"]
    threads: int | Literal["auto"]
    deterministic: bool

    def __post_init__(self) -> None:
        mistakes = out_of_range(vars(self))
        if mistakes:
            raise ConfigError(mistakes)


AT_LEAST = {
    "epochs": 1, "steps": 1, "accumulate": 1, "patience": 1, "validate_every": 1, "log_every": 1, "threads": 1,
    "warmup_steps": 0, "plateau_patience": 0, "weight_decay": 0, "learning_rate": 0, "save_every": 0, "examples": 0,
    "profile": 0, "nonmonotone": 1, "recurrent_l1": 0, "recurrent_l2": 0,
}  # fmt: skip


SHARES = ("layer_decay", "momentum", "final_rate", "plateau_factor", "average_decay", "average_from", "diagnostics")


POSITIVE = ("clip_norm", "clip_value")


AT_MOST = {"learning_rate": 1000, "weight_decay": 1000}


def out_of_range(training: Options) -> list[str]:
    """A message for each value that is out of its range. The types have been checked; options may be missing."""
    numbers = {name: value for name, value in training.items() if isinstance(value, (int, float))}
    mistakes = []
    for name, value in numbers.items():
        # "not >=" also catches NaN
        if name in AT_LEAST and not value >= AT_LEAST[name]:
            mistakes.append(f"training.{name} is {value}: it must be at least {AT_LEAST[name]}")
        if name in AT_MOST and value > AT_MOST[name]:
            mistakes.append(f"training.{name} is {value}: it must be at most {AT_MOST[name]:,}")
        if name in SHARES and not 0 <= value <= 1:
            mistakes.append(f"training.{name} is {value}: it must be between 0 and 1")
        if name in POSITIVE and not value > 0:
            mistakes.append(f"training.{name} is {value}: it must be above 0, or null for no clipping")
        if name == "recurrent_norm" and not value > 0:
            mistakes.append(f"training.{name} is {value}: it must be above 0, or null for no limit")
    device = training.get("device", "auto")
    if device not in ("auto", "cpu") and not re.fullmatch(r"cuda(:\d+)?", device):
        mistakes.append(f"training.device is {device!r}: it must be auto, cpu, cuda or cuda:NUMBER")
    betas = training.get("betas", [0.9, 0.999])
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        mistakes.append(f"training.betas is {betas}: it must list two numbers, each at least 0 and below 1")
    return mistakes
