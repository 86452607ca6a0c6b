"""Backends: what each kind of server needs to keep objects under names."""
