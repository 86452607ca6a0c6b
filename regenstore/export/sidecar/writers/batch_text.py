"""A text file for a whole batch: see :mod:`regenstore.export.sidecar.writers.text`."""

from __future__ import annotations

from regenstore.export.sidecar.writers.text import BATCH_WRITER

WRITER = BATCH_WRITER
