"""Learning rules, which compute gradients, one per file, and readouts in closed form. Updates are in training/."""
