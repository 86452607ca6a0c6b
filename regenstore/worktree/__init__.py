"""The files that people see: safe paths, placing media, and Git's index entries for them."""
