"""Corrections: small files that turn the bytes a generator gives here into the take, bit for bit."""
