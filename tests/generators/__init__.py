"""Tests of regenstore.generators and the workers that run them."""
