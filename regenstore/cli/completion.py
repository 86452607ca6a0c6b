"""``regenstore completion``"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from regenstore.cli.completing import VARIABLE
from regenstore.cli.console import write

_PLAIN = "            COMPREPLY+=($value)\n"


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, paths, generators, parameters, remotes and templates in a
    SHELL.

    \b
    Examples:
      eval "$(regenstore completion bash)"                                      # in ~/.bashrc
      eval "$(regenstore completion zsh)"                                       # in ~/.zshrc
      regenstore completion fish > ~/.config/fish/completions/regenstore.fish
    """
    root = ctx.find_root()
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(root.command, {}, "regenstore", VARIABLE).source()
    # No space after 'seed=': the value follows.
    script = script.replace(_PLAIN, f"{_PLAIN}            [[ $value == *= ]] && compopt -o nospace\n")
    write(script.encode() + b"\n")
