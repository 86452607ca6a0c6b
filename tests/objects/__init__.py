"""Tests of regenstore.objects."""
