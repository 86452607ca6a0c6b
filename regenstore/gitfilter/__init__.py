"""The interface to Git: the filter protocol, clean and smudge, the merge driver, and their Git configuration.

``pktline`` and ``process`` implement the protocol and know nothing about recipes; for ``clean`` and ``smudge`` it is
the reverse.
"""
