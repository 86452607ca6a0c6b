"""``regenstore remote remove``"""

from __future__ import annotations

import re

import click

from regenstore.cli.console import say
from regenstore.cli.context import dry_run_option, emit_json, json_option, open_repository
from regenstore.errors import InvalidInput, NotFound
from regenstore.remotes.definitions import GIT_CONFIG


@click.command()
@click.argument("name")
@dry_run_option
@json_option
def command(name: str, dry_run: bool, as_json: bool) -> None:
    """Remove a remote from the configuration. Its contents are not deleted, and it can be added again.

    \b
    Example:
      regenstore remote remove studio
    """
    repository = open_repository()
    found = repository.remote_definitions.definitions.get(name)
    if found is None:
        raise NotFound("no-such-remote", f"there is no remote '{name}'")
    if found.source != GIT_CONFIG:
        hint = f"Revoke your approval with 'regenstore trust --revoke {found.trust_name}', or edit the file."
        raise InvalidInput("bad-parameter", f"{found.source} declares the remote '{name}'", hint=hint)
    setting = f"regenstore.remote.{name}"
    own = repository.git.config(f"^{re.escape(setting)}\\.", "local")
    if not (own if dry_run else repository.git.remove_config_section(setting)):
        origin = repository.git.config_source(f"{setting}.url") or "elsewhere"
        raise InvalidInput(
            "bad-parameter",
            f"the remote '{name}' is configured in {origin}, not in this repository",
            hint=f"git config --global --remove-section {setting}",
        )
    if as_json:
        emit_json("remote-removed", {"name": name, "url": found.shown})
    else:
        removed, was = ("would remove", "would be") if dry_run else ("Removed", "was")
        say(f"{removed} {name}; nothing {was} deleted at {found.shown}")
