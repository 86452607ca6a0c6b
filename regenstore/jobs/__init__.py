"""Running many jobs: order, workers, cancellation. Knows nothing of recipes."""
