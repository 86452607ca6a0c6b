"""Tests of regenstore.refs."""
