"""Turning what other tools keep, and media that Git has itself, into recipes with their media in the store."""
