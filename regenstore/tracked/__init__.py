"""The verbs on tracked paths: write recipes, get and drop media, report status."""
