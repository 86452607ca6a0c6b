"""The command line: each command parses its options, makes one library call, and prints the result as text or JSON."""
