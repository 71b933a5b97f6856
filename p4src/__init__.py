"""P4_16 programs and their include files, as package data."""
