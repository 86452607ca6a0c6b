"""``regenstore.toml`` and the user's approval of what it asks for: generators, remotes, whom to tell of events."""
