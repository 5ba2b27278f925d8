"""The command line: each command parses, calls the API and shows the result.

Everything heavy is imported inside a command, so that `augury --help` is fast.
"""

from __future__ import annotations

import sys
import traceback

import typer

from augury.cli import (  # noqa: F401 # registered
    analyse,
    curves,
    forecasting,
    measure,
    questions,
    samples,
    sampling,
    setup,
    studies,
    text_losses,
    training,
)
from augury.cli.application import app, command_of
from augury.cli.disk_problems import disk_problem
from augury.cli.printing import NORMAL, is_verbose, set_talk
from augury.errors import AuguryError
from augury.runtime.garbage import collect_garbage_less

__all__ = ["app", "main"]

# Exit status after Ctrl-C, as in shells.
STOPPED = 130


def main() -> None:
    """Run the command line: user mistakes print one line and exit with status 2."""
    collect_garbage_less()
    try:
        # The status of typer.Exit, which does not reach this point itself.
        code = command_of(sys.argv[1:])(standalone_mode=False)
        if code == STOPPED:  # Typer of 2026 turns Ctrl-C into an exit with this status
            raise KeyboardInterrupt
        if code:
            sys.exit(code)
    except AuguryError as error:
        if is_verbose():
            traceback.print_exc()
        print(f"augury: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        print("augury: stopped", file=sys.stderr)
        sys.exit(STOPPED)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        # Typer's own parsing errors print themselves in one line.
        shown = getattr(error, "format_message", None)
        problem = disk_problem(error) if shown is None else shown()
        if problem is None:
            raise
        if is_verbose():
            traceback.print_exc()
        print(f"augury: {problem}", file=sys.stderr)
        sys.exit(2)
    finally:
        set_talk(NORMAL)  # -q and -v are of this command line, not of the process
