"""Generators: the plug-in protocol, the worker process that runs them, and the built-in ones."""
