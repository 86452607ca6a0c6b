"""Readers of what each program writes: from embedded text to parameters, graphs, models and inputs."""
