"""The terminal: options to typed values, one library call, and its result for people or as JSON."""
