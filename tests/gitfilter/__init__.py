"""Tests of regenstore.gitfilter."""
