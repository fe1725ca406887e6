"""Generated data sets, one per file; data sets that are read from files are in `files`."""
