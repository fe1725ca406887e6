"""The life of a run: start, resume, sweep, search, load; the loop itself is in `training`."""
