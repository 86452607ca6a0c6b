"""Select the proxy for a server from the settings."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from regenstore.errors import InvalidInput
from regenstore.remotes.settings import Proxies

_PORT = 3128


class Proxy(NamedTuple):
    """An HTTP proxy."""

    shown: str
    """Host and port, for display."""
    url: str
    """Address without the login."""
    login: tuple[bytes, bytes] | None
    """User and password; never displayed."""


def proxy_for(proxies: Proxies, scheme: str, host: str, port: int) -> Proxy | None:
    """The proxy for a server; None for a direct connection. Raises InvalidInput (``bad-config``)."""
    name, url = ("https_proxy", proxies.https) if scheme == "https" else ("http_proxy", proxies.http)
    if not url or _direct(proxies.none, host, port):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        at, given = parts.hostname, parts.port
    except ValueError:
        at, given = None, None
    if not at or parts.scheme != "http":
        # Not shown, as it may contain a password.
        raise InvalidInput(
            "bad-config",
            f"{name} in the environment is not a usable proxy address",
            hint="Use the form http://host:port, or list the server in no_proxy.",
        )
    login = None
    if parts.username is not None:
        login = unquote(parts.username).encode(), unquote(parts.password or "").encode()
    port = given or _PORT
    return Proxy(f"{at}:{port}", f"http://[{at}]:{port}" if ":" in at else f"http://{at}:{port}", login)


def _direct(none: str, host: str, port: int) -> bool:
    """Whether a server is exempt from the proxy: by domain (subdomains included), address or network; an entry with
    a port exempts only that port."""
    for entry in re.split(r"[,\s]+", none.strip()):
        if entry == "*":
            return True
        if (network := _network(entry)) is not None:
            address = _address(host)
            if address is not None and address.version == network.version and address in network:
                return True
            continue
        name, colon, only = entry.rpartition(":")
        if colon and only.isdigit():
            if int(only) != port:
                continue
            entry = name
        entry = entry.strip("[]").strip(".").lower()
        if entry and (host == entry or host.endswith(f".{entry}")):
            return True
    return False


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False) if text else None
    except ValueError:
        return None
