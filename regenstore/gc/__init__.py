"""Garbage collection of a full store: choosing what to evict, evicting through the trash, and undo."""
