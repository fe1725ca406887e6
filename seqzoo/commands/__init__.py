"""The commands of the command line, one a file; torch is imported by what needs it, so that all start at once."""
