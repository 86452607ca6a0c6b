"""Git's side: the filter protocol, clean and smudge, the merge driver, and what Git is told about them.

``pktline`` and ``process`` know the protocol and nothing of recipes; ``clean`` and ``smudge`` the reverse.
"""
