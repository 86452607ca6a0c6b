"""Which contents could come back if they went, and which are kept: the one place that decides."""
