"""Tools for comparing runs and cells: statistics, tables, charts, properties; training is started by `runs`."""
