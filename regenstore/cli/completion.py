"""``regenstore completion``"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from regenstore.cli.completing import VARIABLE
from regenstore.cli.console import write

# No space after 'seed=': the value follows. (fish knows that.)
_OPEN = {
    "bash": (
        "            COMPREPLY+=($value)\n",
        "            COMPREPLY+=($value)\n            [[ $value == *= ]] && compopt -o nospace\n",
    ),
    "zsh": (
        "        compadd -U -V unsorted -a completions\n",
        "        local -a open closed\n"
        "        open=(${(M)completions:#*=}) closed=(${completions:#*=})\n"
        "        compadd -U -V unsorted -S '' -a open\n"
        "        compadd -U -V unsorted -a closed\n",
    ),
}
"""Shell -> a line of click's script, and what replaces it."""


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
    script = script.replace(*_OPEN.get(shell, ("", "")))
    write(script.encode() + b"\n")
