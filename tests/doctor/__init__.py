"""Tests of what looks after a store and its surroundings."""
