"""Run directories: files, checkpoints, logs and TensorBoard events, written and read. Who starts runs is in `runs`."""
