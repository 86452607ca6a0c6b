"""Sharing through remotes: which remotes there are, what they can do, and sending contents and records."""
