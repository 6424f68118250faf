"""The one kind of error that a user can cause and mend."""

import importlib
from types import ModuleType


class UserError(Exception):
    """Says in one line what is wrong, where, and what to do about it.

    The command line prints the line and exits with code 2; in Python it is an ordinary exception.
    """


def optional(module: str, extra: str) -> ModuleType:
    """Import a library that only some commands need.

    Args:
        module: its name, such as "onnxruntime".
        extra: the part of plusx that brings it, such as "export".

    Raises:
        UserError: if it is not installed; says how to install it.

    >>> optional("json", "export").dumps([1])
    '[1]'
    >>> optional("nosuch", "export")
    Traceback (most recent call last):
    ...
    plusx.errors.UserError: this needs nosuch, which is not installed: pip install "plusx[export]"
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise UserError(
            f'this needs {error.name}, which is not installed: pip install "plusx[{extra}]"'
        ) from None
