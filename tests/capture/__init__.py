"""Tests of regenstore.capture."""
