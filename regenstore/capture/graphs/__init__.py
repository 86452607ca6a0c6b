"""Graphs of nodes in recipes: which values matter to people, one line per value, and the exact graph again.

Pure functions of JSON and TOML values; docs/format.md, section "Captured graphs", describes the form.
"""
