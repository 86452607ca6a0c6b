"""Storage backends: how each kind of server keeps objects under names."""
