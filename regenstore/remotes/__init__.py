"""Remotes: shared places for contents, results and proofs."""
