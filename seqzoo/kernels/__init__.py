"""Fast twins of cells: the same equations over a whole sequence. Never needed for correctness."""
