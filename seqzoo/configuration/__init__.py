"""Configurations: composed from overrides, checked, and turned into components and a model. Training is in `runs`."""
