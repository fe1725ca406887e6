"""`python -m tests.fuzz FAMILY [--cases N] [--seed S] [--only NUMBER]`: exit status 1 if any case failed."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import warnings

from tests.fuzz import driver


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Try random, damaged and hostile inputs.")
    parser.add_argument("family", choices=driver.families())
    parser.add_argument("--cases", type=int, default=500, help="number of cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other cases (default: %(default)s)")
    parser.add_argument("--only", type=int, help="repeat the case with this number alone")
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    attempt = importlib.import_module(f"tests.fuzz.{arguments.family}").attempt
    numbers = range(arguments.cases) if arguments.only is None else range(arguments.only, arguments.only + 1)
    started = time.perf_counter()
    report = driver.run(arguments.family, attempt, numbers, arguments.seed, lambda text: print(text, flush=True))
    seconds = time.perf_counter() - started
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(report.outcomes.items()))
    print(f"{arguments.family}: {len(numbers):,} cases, seed {arguments.seed}: {counts}; {seconds:.0f} s")
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
