"""Reads the official Python version of CIFAR-10 without trusting it.

Those files are pickles, and a pickle may name any function in Python to be called while it is read. Here
every name stands for something of our own: an array becomes a `_Bytes`, a dtype a `_Type`, and nothing else
has a name. So a stranger's file can at worst be refused.
"""

import io
import pickle
from textwrap import shorten
from typing import Any

import numpy as np

from plusx.data.records import RECORD
from plusx.pickles import names_in
from plusx.text import visible

_MOST_ACTS = 30  # tuples and calls: NumPy's own pickles need at most 16


class _Bytes:
    """Stands for a NumPy array: keeps the shape and the raw bytes that the pickle carries for it."""

    def __setstate__(self, state: tuple[int, tuple[int, ...], "_Type", bool, bytes]) -> None:
        _, self.shape, self.dtype, self.column_major, self.raw = state


class _Type:
    """Stands for a NumPy dtype: keeps its code, and ignores the byte order, which a single byte hasn't."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        self.code = code.decode() if isinstance(code, bytes) else code

    def __setstate__(self, _: Any) -> None:
        pass


def _latin1(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")  # how Python 3 writes bytes into the older pickle formats


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Bytes,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Bytes(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Bytes(),
    ("_codecs", "encode"): _latin1,
}


class _RefusedError(Exception):
    pass


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _RefusedError(f"it asks for {module}.{name}, which CIFAR-10 doesn't need") from None


def from_python(content: bytes) -> bytes:
    """Turn a file of the official Python version into the same batch in the official binary layout.

    Raises `ValueError`, with the reason, for anything that is not such a file; nothing in it is executed.

    >>> import pickle
    >>> picture = np.zeros((1, 3072), np.uint8)
    >>> batch = from_python(pickle.dumps({b"labels": [7], b"data": picture}, protocol=2))
    >>> len(batch), batch[0]
    (3073, 7)
    >>> from_python(pickle.dumps(print))
    Traceback (most recent call last):
    ...
    ValueError: it asks for builtins.print, which CIFAR-10 doesn't need
    """
    try:
        names_in(content, _MOST_ACTS)
        fields = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        named = {key.decode() if isinstance(key, bytes) else key: value for key, value in fields.items()}
        labels, pictures = named["labels"], named["data"]
        if pictures.dtype.code not in ("u1", "|u1") or pictures.column_major:
            raise ValueError("its pictures are not rows of single bytes")
        if not isinstance(labels, list) or not all(isinstance(label, int) for label in labels):
            raise ValueError("its labels are not a row of numbers")
        rows = np.frombuffer(pictures.raw, np.uint8).reshape(len(labels), RECORD - 1)
        return np.concatenate([np.array(labels, np.uint8)[:, None], rows], axis=1).tobytes()
    except _RefusedError as error:
        raise ValueError(_shown(error)) from None
    except Exception as error:  # a broken pickle can fail in any way, and each means the same to the caller
        raise ValueError(f"it is not a batch of CIFAR-10's Python version ({_shown(error)})") from error


def _shown(error: Exception) -> str:
    """What an error says, which may come from the pickle, for a terminal."""
    return shorten(visible(str(error)) or type(error).__name__, 200, placeholder=" …")
