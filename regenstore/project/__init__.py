"""``regenstore.toml`` and the user's approval of what it declares: generators, remotes, receivers of events."""
