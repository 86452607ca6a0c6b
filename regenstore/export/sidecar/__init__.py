"""Sidecars: files beside a medium that tell another program what it is and how it was made."""
