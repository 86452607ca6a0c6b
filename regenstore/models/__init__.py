"""The user's model files, known by their hashes: an index of them, and binding what media name to them.

The index belongs to the user, not to a repository. Models are read, never run: of pickles (``ckpt``, ``pt``) only the
bytes are hashed.
"""
