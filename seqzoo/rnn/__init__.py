"""Modules in place of torch's: layers of any cell, and drop-ins. The networks of training runs are in `network`."""
