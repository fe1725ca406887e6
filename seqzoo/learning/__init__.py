"""How gradients are computed, one learning rule per file, and readouts in closed form; training/ applies gradients."""
