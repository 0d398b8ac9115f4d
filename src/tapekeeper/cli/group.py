"""What all commands share: errors told as sentences, exit codes, examples, settings, and the option for JSON."""

from __future__ import annotations

import getpass
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from tapekeeper.cli.output import print_problem
from tapekeeper.errors import Stop, TapekeeperError
from tapekeeper.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_FAILED: Final = 1
"""It did not work out, or what was looked at is not as it should be; the same command may succeed later."""
EXIT_STOP: Final = 2
"""A person has to change something first."""


class Commands(click.Group):
    """A group whose commands tell errors as sentences, with an exit code for what to do about them."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command, and end the process if an error of ours comes out of it."""
        try:
            return super().invoke(context)
        except TapekeeperError as error:
            print_problem("Error", error)
            sys.exit(EXIT_STOP if isinstance(error, Stop) else EXIT_FAILED)


def examples(*lines: str) -> str:
    """Return the end of a help text: commands to copy."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json` to a command, which gets it as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for scripts.")(command)


def current_settings() -> Settings:
    """Return the settings of this process's environment.

    Raises:
        ConfigInvalid: a variable is unknown, or its value is wrong.
    """
    return read_settings(os.environ)


def current_user() -> str:
    """Return who runs the command, as the ledger keeps it."""
    try:
        return f"shell/{getpass.getuser()}"
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return f"shell/{os.getuid()}"
