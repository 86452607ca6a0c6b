"""Remotes: shared storage for contents, results and proofs."""
