"""Redaction of secrets in addresses that are shown or stored.

Removes user names and passwords, and everything after ``?`` and ``#`` (tokens, signatures). The only place that does
this; every error message passes through it. Standard library only, and imported only when there is an address.
"""

from __future__ import annotations

import re

HIDDEN = "***"
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>`|\\^]+")
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")
_NAMES_SHOWN = ("sftp", "ssh", "scp")
"""Schemes for which a user name without a password is not secret; for web servers it may be a token."""


def shown(address: str) -> str:
    """Return an address without secrets; anything else (a folder) unchanged."""
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
    # A password may contain a slash; better to hide too much.
    if "@" in path and not at and not _HOST.fullmatch(place):
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{place}{path}"


def without_secrets(text: str) -> str:
    """Return a text with every address in it redacted."""
    return _IN_TEXT.sub(lambda found: shown(found[0]), text) if "://" in text else text
