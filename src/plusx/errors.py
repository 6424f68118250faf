"""The one kind of error that a user can cause and mend."""


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do about it.

    The command line prints the line and exits with code 2; in Python it is an ordinary exception.
    """
