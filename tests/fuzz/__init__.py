"""Fuzz programs, one family of inputs a file: `python -m tests.fuzz overrides --cases 5000`.

Each case is made from (family, seed, number) alone, so that any case can be repeated by itself with `--only NUMBER`.
"""
