"""Data sets that are read from files, one kind per module; generated data sets are in `generated`."""
