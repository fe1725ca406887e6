"""Overrides become settings, settings become components and a model; running them is in `runs`."""
