"""The command line, one command a file: arguments in, text out."""
