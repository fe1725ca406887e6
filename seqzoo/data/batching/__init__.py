"""Batches: which rows they hold, in which order, and how rows of different length are stored."""
