"""The environment variables that torchrun sets in each process."""

from __future__ import annotations

import os


def started() -> int:
    """The number of processes that torchrun, or a launcher with the same environment variables, has started."""
    return int(os.environ.get("WORLD_SIZE", "1")) if {"RANK", "MASTER_ADDR"} <= os.environ.keys() else 1


def rank() -> int:
    """The number of this process among them."""
    return int(os.environ.get("RANK", "0")) if started() > 1 else 0


def on_this_machine() -> int:
    """The number of these processes on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def own_gpu() -> int:
    """The number of the GPU of this process: those of a machine have one each."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def restarts() -> bool:
    """Whether the launcher keeps values for processes that it starts in place of others, as torchrun does."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
