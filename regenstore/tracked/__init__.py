"""The verbs on tracked paths: write recipes, get and drop media, say how things stand."""
