"""Write running text of any size from the grammar of `seqzoo.data.generated.english`; equal sizes give equal texts.

python scripts/make_corpus.py corpus.txt --megabytes 1000
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from seqzoo.data.generated.english import English

SENTENCES = 100_000
"""Number of distinct sentences; longer texts repeat them in random order."""


def write_corpus(path: Path, size: int, sentences: int = SENTENCES) -> None:
    """A sentence a line, whole lines, of `size` bytes or a little more."""
    english = English(seed=0)
    lines = [" ".join(english.sentence().words) + "\n" for _ in range(sentences)]
    order = random.Random(0)
    written = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while written < size:
            for line in order.choices(lines, k=10_000):
                written += file.write(line)
                if written >= size:
                    return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("to", type=Path)
    parser.add_argument("--megabytes", type=float, default=1000)
    chosen = parser.parse_args()
    write_corpus(chosen.to, int(chosen.megabytes * 1_000_000))


if __name__ == "__main__":
    main()
