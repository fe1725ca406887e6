"""Engines that run the step of a cell over whole sequences. The equations of cells are in `cells`."""
