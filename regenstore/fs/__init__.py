"""Operations on files: presence, locks, permissions, writing and atomic replacement."""
