"""How a step runs over a whole sequence, fast; the equations are in `cells`, and need none of this."""
