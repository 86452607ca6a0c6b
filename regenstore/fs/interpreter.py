"""Starting the running Python once more, deaf to what is set for other ones: PYTHONPATH, PYTHONHOME, modules in
the current folder.

This module uses the standard library only: entry points import it.
"""

from __future__ import annotations

import os
import site
import sys

ENTER = "from {module} import main; main()"
"""Code that runs a module's ``main``: unlike ``-m`` it takes nothing from the current folder in any mode."""


def options() -> tuple[str, ...]:
    """The options that keep others out, and this installation in: isolated mode does not see the user's own
    packages, where ``pip install --user`` puts them."""
    users = site.getusersitepackages() if site.ENABLE_USER_SITE else None
    return ("-E", "-P") if users and __file__.startswith(os.path.join(users, "")) else ("-I",)


def command(module: str, *arguments: str) -> list[str]:
    """What runs a module's ``main`` in a process of its own."""
    return [sys.executable, *options(), "-c", ENTER.format(module=module), *arguments]
