"""The value types and the store: ids, recipes and their text, contents, results."""
