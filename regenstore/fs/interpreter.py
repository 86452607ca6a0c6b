"""The command line that starts the running Python again, isolated from settings meant for other interpreters:
PYTHONPATH, PYTHONHOME, modules in the current folder.

Standard library only: entry points import this.
"""

from __future__ import annotations

import os
import site
import sys

ENTER = "from {module} import main; main()"
"""Code that runs a module's ``main``. Unlike ``-m``, it never imports from the current folder, in any mode."""


def options() -> tuple[str, ...]:
    """Return the options that isolate the interpreter without losing this installation: isolated mode (``-I``) hides
    the user's site-packages, where ``pip install --user`` installs."""
    users = site.getusersitepackages() if site.ENABLE_USER_SITE else None
    return ("-E", "-P") if users and __file__.startswith(os.path.join(users, "")) else ("-I",)


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module's ``main`` in a new process."""
    return [sys.executable, *options(), "-c", ENTER.format(module=module), *arguments]
