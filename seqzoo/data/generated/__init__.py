"""Data sets made by a program from a seed, one a file."""
