"""Data: readers of the official formats and of folders, the catalogue of data sets, and stand-in files."""
