"""Tests of regenstore.gc."""
