"""What media tell of how they were made: pure readers of the metadata that programs embed.

Nothing here runs anything, and nothing here decides which recipe a content belongs to. Standard library only.
"""
