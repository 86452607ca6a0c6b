"""Corrections: what turns the bytes that a generator gives here into the take, to the byte."""
