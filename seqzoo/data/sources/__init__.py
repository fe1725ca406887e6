"""Locations, downloads and file formats. The data sets that are made of them are in `files`."""
