"""The one exception a user is meant to read."""


class BadInput(Exception):
    """Something the user gave cannot work.

    The message is one sentence: what is wrong, where, and what to do. The command line prints it
    and exits with code 2; nothing half-written is left where a later stage would read it.
    """
