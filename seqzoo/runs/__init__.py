"""Runs: start, resume, evaluate, load; sweeps and hyperparameter search. The training loop is in `training`."""
