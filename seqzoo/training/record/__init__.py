"""Run directories: configuration, checkpoints, logs and TensorBoard events, written and read; `runs` starts runs."""
