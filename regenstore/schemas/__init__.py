"""Pydantic models of everything written as JSON. Each one validates records and provides a JSON Schema.

Imported only where records are read or checked, never by processes that Git calls.
"""
