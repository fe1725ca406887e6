"""Comparison of runs and cells: statistics, tables, charts, contract checks. Training is started by `runs`."""
