"""Errors in user-defined parts: which part is wrong, where, and when in a run.

Python programs receive exceptions of a part unchanged; the command line prints a `Failure` instead. A wrong result is
a `PartError`.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TypeVar

from seqzoo.contracts.errors import LONGEST_SENTENCE, PartError, SeqzooError, cut, shortened

T = TypeVar("T")
NOT_OWN = ("seqzoo", "torch")
"""Packages whose classes are not user-defined."""


@contextmanager
def during(moment: Callable[[], str]) -> Iterator[None]:
    """A context that adds the moment of a run to exceptions as a note, unless they have one. Errors of seqzoo are
    unchanged.

    Python prints notes below a traceback (PEP 678, from version 3.11).

    Args:
        moment: called for the note, such as "in update 41".
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, SeqzooError) and not hasattr(error, "__notes__"):
            error.__notes__ = [moment()]  # type: ignore[attr-defined]  # known since Python 3.11
        raise


class Failure(NamedTuple):
    """A message about an exception that was raised in a user-defined part.

    Attributes:
        sentence: the part, its method, the exception, the line and the moment.
        details: the traceback, beginning in the part.
    """

    sentence: str
    details: str


def failure_of_own_part(error: BaseException) -> Failure | None:
    """The message about an exception if a user-defined part, or a function that it called, raised it; else None."""
    stack = [*traceback.walk_tb(error.__traceback__)]
    parts = [(depth, part) for depth, (frame, _) in enumerate(stack) if (part := _part(frame)) is not None]
    if not parts:
        return None
    depth, part = parts[-1]
    file, method = stack[depth][0].f_code.co_filename, stack[depth][0].f_code.co_name
    line = [number for frame, number in stack if frame.f_code.co_filename == file][-1]
    text = str(error).strip().partition("\n")[0]
    raised = f"{type(error).__name__}: {text}" if text else type(error).__name__
    moment = "".join(f", {note}" for note in getattr(error, "__notes__", [])[:1])
    sentence = (
        f"{part.__module__}.{part.__qualname__}.{method} raised {raised} ({Path(file).name}, line {line}){moment}"
    )
    shown = traceback.TracebackException(type(error), error, error.__traceback__)
    shown.stack = traceback.StackSummary.from_list(shown.stack[parts[0][0] :])
    details = "".join(shown.format()).splitlines()
    return Failure(shortened(sentence), "\n".join(cut(line, LONGEST_SENTENCE) for line in details))


def _part(frame: FrameType) -> type | None:
    """The user-defined class, inherited from a class of seqzoo, whose method a frame runs; else None."""
    owner: Any = frame.f_locals.get("self", frame.f_locals.get("cls"))
    part = owner if isinstance(owner, type) else type(owner)
    homes = {base.__module__.partition(".")[0] for base in part.__mro__}
    module = frame.f_globals.get("__name__", "")
    defined = [base for base in part.__mro__ if base.__module__ == module]
    is_own = defined and module.partition(".")[0] not in NOT_OWN and is_own_class(part)
    return part if "seqzoo" in homes and is_own else None


def is_own_class(part: type) -> bool:
    """Whether a class is user-defined."""
    return part.__module__.partition(".")[0] not in NOT_OWN


def wrong_result(part: object, method: str, result: Any, expected: str) -> PartError:
    """The error for a method that returned something else than its base class requires.

    Args:
        part: the component.
        method: name of the method.
        result: what it returned.
        expected: what it must return, as a noun phrase.
    """
    return PartError(f"{place_of(part, method)} returned {described(result)}: it must return {expected}")


def place_of(part: object, method: str) -> str:
    """A method or property of a part with its file and line, for messages."""
    name = f"{type(part).__module__}.{type(part).__qualname__}.{method}"
    function = getattr(type(part), method)
    code = getattr(inspect.unwrap(getattr(function, "fget", function)), "__code__", None)
    return name if code is None else f"{name} ({Path(code.co_filename).name}, line {code.co_firstlineno})"


def construct(part: Callable[..., T], **arguments: Any) -> T:
    """Construct a user-defined class from positional arguments.

    Args:
        part: the class.
        **arguments: by the names that messages call them.

    Raises:
        PartError: the constructor takes other arguments.
    """
    try:
        inspect.signature(part).bind(*arguments.values())
    except TypeError as error:
        name = f"{part.__module__}.{part.__qualname__}"
        raise PartError(f"{name} must be constructible as {part.__name__}({', '.join(arguments)}): {error}") from None
    return part(*arguments.values())


def described(value: Any) -> str:
    """A value for messages; tensors by their shapes, such as `(Tensor (8, 16), [Tensor (8, 16)])`."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"{type(value).__name__} {tuple(shape)}"
    if isinstance(value, list):
        return f"[{', '.join(map(described, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(described, value))}{',' * (len(value) == 1)})"
    return "None" if value is None else f"{type(value).__name__} {value!r:.60}"
