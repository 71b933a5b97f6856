"""Topologies: the file format, the addressing plan, the network built from them, and its links."""
