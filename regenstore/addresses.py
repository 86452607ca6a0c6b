"""Addresses as they may be shown and kept: without what may be a secret in them.

Passwords and names before the host, everything after ``?`` and ``#`` (tokens, signatures). The one place that knows;
every error message goes through it. Standard library only, and imported only where there is an address at all.
"""

from __future__ import annotations

import re

HIDDEN = "***"
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>`|\\^]+")
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")
_NAMES_SHOWN = ("sftp", "ssh", "scp")
"""Where a name without a password is no secret; for web servers it may be a token."""


def shown(address: str) -> str:
    """An address without secrets; what is none (a folder) as it is."""
    if "://" not in address:
        return address
    scheme, _, rest = address.partition("://")
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    place, path = rest[:end], rest[end:]
    user, at, host = place.rpartition("@")
    if at and not (scheme in _NAMES_SHOWN and ":" not in user):
        place = f"{HIDDEN}@{host}"
    for mark in "#?":
        before, found, _ = path.partition(mark)
        path = f"{before}{mark}{HIDDEN}" if found else before
    # A password with a slash in it is no host; better hide too much.
    if "@" in path and not at and not _HOST.fullmatch(place):
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{place}{path}"


def without_secrets(text: str) -> str:
    """A text in which every address is without secrets."""
    return _IN_TEXT.sub(lambda found: shown(found[0]), text) if "://" in text else text
