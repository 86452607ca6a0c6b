"""Decides which contents can be made again and may be evicted, and which are kept. The only place that decides."""
