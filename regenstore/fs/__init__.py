"""The ground floor for files: what is there, what is absent, and what cannot be told."""
