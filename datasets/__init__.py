"""Data: readers of the official formats, the catalogue of data sets, and stand-in files to try things on."""
