"""Exports: sidecars for other programs, and datasets. Exported media are copies, never links."""
