"""The top-level command group, which turns errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
import time

import click
from click.exceptions import NoArgsIsHelpError

from regenstore import __version__
from regenstore.cli.console import be_quiet, say, say_error
from regenstore.cli.lazy import LazyGroup
from regenstore.cli.main import COMMANDS, SECTIONS
from regenstore.errors import KINDS, InternalError, RegenstoreError
from regenstore.fs.durable import storage_error

_EXIT_CODES = """\b
Exit codes:
  0    done
  1    done, and the answer is no: a check, comparison or verification failed
  2    invalid input         3  not found          4  conflict
  5    not trusted or not confirmed               6  storage
  7    invalid format        8  generation failed
  70   a bug                 130  interrupted     141  the output was closed

With several errors, the last one counts. docs/errors.md lists all kinds."""


class _Commands(LazyGroup):
    commands_listed = COMMANDS
    sections = SECTIONS

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of our output has seen enough: 'status | head -1'. Print nothing more, not even when the
            # interpreter flushes; end as a program does that the signal ends (click would end with 1).
            sys.stdout = None
            raise SystemExit(141) from None


@click.group(cls=_Commands, epilog=_EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-C", "folders", multiple=True, metavar="DIR", help="Run as if started in DIR; may be repeated.")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors, warnings and JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show details of errors, and how long the command took.")
@click.version_option(__version__, "-V", "--version", prog_name="regenstore")
def cli(folders: tuple[str, ...], quiet: bool, verbose: bool) -> None:
    """A Git-native store for AI-generated media.

    Git keeps recipes (a few hundred bytes of text), the store keeps media, and missing media come back on checkout.

    \b
    Start with:
      git init film && cd film && regenstore init
      regenstore track '*.png' '*.mp4'
      regenstore new plates/sea.png --generator procedural.image -p prompt="storm at dusk"
      git add -A && git commit -m "First plate"
    """
    for folder in folders:
        try:
            os.chdir(folder)
        except OSError as error:
            raise click.UsageError(f"-C {folder}: {error.strerror}") from None
    if quiet:
        be_quiet()
    if verbose:
        os.environ["REGENSTORE_DEBUG"] = "1"
        began = time.monotonic()
        click.get_current_context().call_on_close(lambda: say(f"took {time.monotonic() - began:.2f} s", err=True))


def run() -> int:
    """Run the command given on the command line and return its exit code."""
    try:
        cli.main(prog_name="regenstore", standalone_mode=False)
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
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
    except OSError as error:
        code = _tell(storage_error(error, error.filename or "a file"))
    except Exception as error:
        if "REGENSTORE_DEBUG" in os.environ:
            import traceback

            for line in traceback.format_exc().splitlines():
                say(line, err=True)
        text = f"{type(error).__name__}: {error}"
        code = _tell(InternalError("bug", text, hint=KINDS["bug"] + " Run with -v for a traceback."))
    return code


def _tell(error: RegenstoreError) -> int:
    say_error("regenstore: error", error)
    return error.exit_code


def _tell_usage(error: click.ClickException) -> None:
    """Report arguments that click rejects; its message repeats them as typed."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if isinstance(error, NoArgsIsHelpError) and context is not None:
        for line in context.get_help().split("\n"):
            say(line, err=True, whole=True)
        return
    if context is not None:
        for line in context.get_usage().split("\n"):
            say(line, err=True)
        say(f"Try '{context.command_path} --help' for help.", err=True)
        say(err=True)
    say(f"Error: {error.format_message()}", err=True)
