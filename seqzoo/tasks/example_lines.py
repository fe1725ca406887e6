"""Lines of the log that compare an answer with its target."""

from __future__ import annotations


def example_line(read: str, answer: str, target: str | None) -> str:
    """An example as `read -> answer   (target: ...)`.

    Args:
        read: the input; empty: it cannot be written in a line, and is left out.
        answer: the prediction.
        target: the reference; None: it is not known, or equals the answer.
    """
    line = f"{read} -> {answer}" if read else answer
    return line if target is None else f"{line}   (target: {target})"
