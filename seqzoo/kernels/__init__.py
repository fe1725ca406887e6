"""Fast execution of a cell's step over whole sequences; the equations are in `cells` and do not depend on it."""
