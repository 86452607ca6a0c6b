"""The vocabulary and the store: ids, recipes and their one text, contents, results."""
