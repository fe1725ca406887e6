"""Numbers with their nouns."""

from __future__ import annotations


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """A number with its noun, as in "1 value" and "2,000 values"; plural: where it does not end in s."""
    amount = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{amount} {noun if number == 1 else plural or noun + 's'}"
