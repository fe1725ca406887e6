"""The training loop and its parts. Run directories are written in `record`; `runs` starts trainings."""
