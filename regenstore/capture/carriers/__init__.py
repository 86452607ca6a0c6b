"""Readers of containers: where each file format keeps the text and data that programs embed."""
