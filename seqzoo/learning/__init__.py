"""How weights are had other than by the training loop: readouts in closed form."""
