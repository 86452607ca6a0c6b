"""From a recipe to media: the plug-in protocol, the worker that runs it, and the built-in generators."""
