"""Export: sidecars for other programs, and datasets. What is exported is copied out, never linked to."""
