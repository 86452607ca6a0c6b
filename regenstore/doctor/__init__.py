"""Maintenance of a store and its surroundings: find damage and setup errors, and repair them."""
