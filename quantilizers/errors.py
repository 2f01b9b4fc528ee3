"""The one exception that users are meant to see."""

from __future__ import annotations


class UserError(Exception):
    """Something the user asked for cannot be done; the message is one line and names the way out.

    The command line prints it without a traceback and exits with code 2.
    """
