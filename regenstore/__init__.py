"""A Git-native store for AI-generated media.

This file imports nothing: the Git filter starts in a few milliseconds and loads only the modules
a request needs.
"""

__version__ = "0.1.0"
