"""Shared data types and base classes: batches, states, specifications, masks, notations and errors; no models."""
