"""The result database: all SQL, and its file."""
