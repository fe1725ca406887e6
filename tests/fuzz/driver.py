"""Runs the cases of a family and counts how each one ended."""

from __future__ import annotations

import contextlib
import pkgutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from seqzoo.contracts.errors import SeqzooError

CPU_SECONDS, WALL_SECONDS = 5.0, 30.0
"""A case that takes longer is a wait; the wall clock is generous, because machines are shared."""
LONGEST_SENTENCE = 1000
"""Characters. One mistake is 300 at most; several may be listed together."""


def families() -> list[str]:
    """The names of the families: the other modules of this package."""
    names = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(name for name in names if name not in ("driver", "__main__") and not name.startswith("test_"))


class Fault(AssertionError):
    """What a family found wrong in the outcome of a case: a silent NaN, a file outside the run directory, ..."""


class Waited(BaseException):
    """Raised inside a case that takes too long; no handler of `Exception` may swallow it."""


@dataclass
class Case:
    """What a family makes one input from.

    random: a generator of this case alone.
    folder: an empty folder, removed after the case.
    notes: what to print of the case if it fails.
    """

    random: Random
    folder: Path
    notes: list[str] = field(default_factory=list)

    def note(self, *values: object) -> None:
        self.notes.append(" ".join(map(str, values)))


Attempt = Callable[[Case], None]
"""Tries one input. Returning is acceptance, SeqzooError is a refusal; Fault or any other exception is a failure."""


@dataclass
class Report:
    """Outcomes by name, and a text for each case that failed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise Waited

    signals = {signal.SIGALRM: signal.ITIMER_REAL, signal.SIGPROF: signal.ITIMER_PROF}
    before = {number: signal.signal(number, stop) for number in signals}
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        yield
    finally:
        for number, timer in signals.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def try_case(attempt: Attempt, case: Case) -> tuple[str, str]:
    """The outcome of a case, and where it failed the reason: accepted, refused, fault, wait or traceback."""
    try:
        with _time_limit():
            attempt(case)
    except SeqzooError as error:
        sentence = str(error)
        if not sentence.strip() or len(sentence) > LONGEST_SENTENCE:
            return "fault", f"a message of {len(sentence)} characters: {sentence[:200]!r}"
        return "refused", ""
    except Fault as fault:
        return "fault", str(fault)
    except Waited:
        return "wait", traceback.format_exc(limit=-6)
    except (Exception, SystemExit):
        return "traceback", traceback.format_exc(limit=-8)
    return "accepted", ""


def run(family: str, attempt: Attempt, numbers: range, seed: int, show: Callable[[str], None] | None = None) -> Report:
    """Try the cases with these numbers.

    Args:
        family: the family's name, part of each case's seed.
        attempt: tries one input.
        numbers: the numbers of the cases.
        seed: another seed gives other cases.
        show: called with the text of each failure as it happens.
    """
    report = Report()
    for number in numbers:
        with tempfile.TemporaryDirectory(prefix="seqzoo-fuzz-") as folder:
            case = Case(Random(f"{family} {seed} {number}"), Path(folder).resolve())
            started = time.perf_counter()
            outcome, reason = try_case(attempt, case)
            seconds = time.perf_counter() - started
        report.outcomes[outcome] += 1
        if outcome not in ("accepted", "refused"):
            notes = "\n".join(case.notes)
            text = f"--- {family} case {number}, seed {seed}: {outcome} after {seconds:.1f} s\n{notes}\n{reason}"
            report.failures.append(text)
            if show is not None:
                show(text)
    return report
