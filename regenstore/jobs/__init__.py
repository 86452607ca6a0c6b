"""Runs many jobs: order, workers, cancellation. Independent of recipes."""
