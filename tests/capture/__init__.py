"""Tests of regenstore.media."""
