"""``regenstore``: the command group. Commands are imported when they are called: start-up stays quick."""

from __future__ import annotations

import os
import sys
import traceback

import click
from click.exceptions import NoArgsIsHelpError

from regenstore import __version__
from regenstore.cli.console import say, say_error
from regenstore.cli.lazy import LazyGroup
from regenstore.errors import KINDS, InternalError, RegenstoreError
from regenstore.objects.durable import storage_error

COMMANDS = {
    "init": "Set up this repository: filter, merge driver, store.",
    "install": "Write the filter into Git's configuration.",
    "uninstall": "Remove the filter from Git's configuration.",
    "track": "Let Git store recipes for file name patterns.",
    "untrack": "Stop that for file name patterns.",
    "new": "Write a new recipe and make its medium.",
    "set": "Change parameters or inputs of a recipe, and make it again.",
    "unset": "Remove parameters or inputs of a recipe, and make it again.",
    "tag": "Label media: scene, characters, tags, failures, rating.",
    "edit": "Edit a recipe's text in your editor.",
    "show": "Show a recipe, here or at a revision.",
    "status": "How things stand at every tracked path.",
    "fetch": "Bring what others pushed to a remote into the store.",
    "get": "Bring media into the worktree, fetched or made again where need be.",
    "drop": "Put recipe text in the place of media.",
    "record": "Write the medium in the worktree into its recipe as the take.",
    "verify": "Run recipes a second time and compare: do the takes come back?",
    "takes": "List every content that a recipe is known to have made.",
    "accept": "Take another known content as the take of a recipe.",
    "pin": "Keep all takes of a recipe, whatever else is known of them.",
    "unpin": "Take a pin away.",
    "pins": "List what is pinned.",
    "why": "Why a medium is kept, or may be evicted.",
    "export": "Write sidecars for other programs, and datasets.",
    "template": "List, show, make and check the templates of sidecars.",
    "events": "What a pipeline is still to be told, and telling it now.",
    "generators": "List generators, or show one with its parameters.",
    "trust": "Approve the generators and remotes that this repository declares.",
    "remote": "Shared places for media: add, list, check, remove.",
    "push": "Send media to a remote, with what is known of them.",
    "clone": "Clone a repository, media included.",
    "gc": "Free space: evict what is proven to come back.",
    "undo": "Bring back what gc took and has not deleted yet.",
    "du": "What the store holds, and how much of it may go.",
    "check": "Find raw media, bad recipes and conflict markers; for CI.",
    "fsck": "Check the store and repair what can be made again.",
    "doctor": "Check how everything is set up; rebuild the database.",
    "hook": "Run a Git hook's check (called by the hooks themselves).",
    "demo": "Play the whole story on a small film project.",
}


class _Commands(LazyGroup):
    commands_listed = COMMANDS


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="regenstore")
def cli() -> None:
    """A Git-native store for AI-generated media.

    Git keeps recipes (a few hundred bytes of text), the store keeps media, and what is missing comes back
    on checkout.

    \b
    Start with:
      git init film && cd film && regenstore init
      regenstore track '*.png' '*.mp4'
      regenstore new plates/sea.png --generator procedural.image -p prompt="storm at dusk"
      git add -A && git commit -m "First plate"
    """


def main() -> None:
    """Entry point: the one place where errors become messages and exit codes."""
    try:
        cli.main(prog_name="regenstore", standalone_mode=False)
        code = 0
    except click.exceptions.Exit as leave:
        code = leave.exit_code
    except click.ClickException as error:
        _tell_usage(error)
        code = error.exit_code
    except RegenstoreError as error:
        code = _tell(error)
    except (KeyboardInterrupt, click.Abort):
        say("regenstore: interrupted; nothing was lost", err=True)
        code = 130
    except BrokenPipeError:
        # Whoever read our output has left; say nothing, also not when the interpreter flushes.
        sys.stdout = None
        code = 141
    except OSError as error:
        code = _tell(storage_error(error, error.filename or "a file"))
    except Exception as error:
        if "REGENSTORE_DEBUG" in os.environ:
            for line in traceback.format_exc().splitlines():
                say(line, err=True)
        text = f"{type(error).__name__}: {error}"
        code = _tell(InternalError("bug", text, hint=KINDS["bug"] + " REGENSTORE_DEBUG=1 shows where it was."))
    sys.exit(code)


def _tell(error: RegenstoreError) -> int:
    say_error("regenstore: error", error)
    return error.exit_code


def _tell_usage(error: click.ClickException) -> None:
    """What click says of arguments that it cannot take, which it repeats as they were typed."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, NoArgsIsHelpError) and context is not None:
        for line in context.get_help().split("\n"):
            say(line, err=True)
        return
    if context is not None:
        for line in context.get_usage().split("\n"):
            say(line, err=True)
        say(f"Try '{context.command_path} --help' for help.", err=True)
        say(err=True)
    say(f"Error: {error.format_message()}", err=True)
