"""Locations, downloads, and parsers of file formats. The data sets that use them are in `files`."""
