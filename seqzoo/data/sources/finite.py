"""Numbers that are written as text."""

from __future__ import annotations

import torch


def finite_number(text: str) -> float:
    """A number that float32 can hold.

    Raises:
        ValueError: it is not a number, infinite or too large.
    """
    number = float(text)
    if not abs(number) <= torch.finfo(torch.float32).max:
        raise ValueError(f"{text[:40]!r} is not a finite number")
    return number
