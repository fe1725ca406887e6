"""What a person compares: runs and their statistics, cells and their properties; training is started by `runs`."""
