"""Tests of regenstore.worktree."""
