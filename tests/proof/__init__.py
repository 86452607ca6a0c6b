"""Tests of what may be evicted."""
