"""Data sets read from files, one kind a file; made-up data are in `generated`."""
