"""Tests of regenstore.export."""
