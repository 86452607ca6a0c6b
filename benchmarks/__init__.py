"""Benchmarks against git-lfs, plain Git and cp: ``python -m benchmarks``. See README.md."""
