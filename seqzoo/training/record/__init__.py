"""What a run directory holds: how it is written while a training goes on, and read back."""
