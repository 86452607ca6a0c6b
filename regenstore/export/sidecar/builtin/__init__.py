"""The built-in templates, as data: one TOML file each."""
