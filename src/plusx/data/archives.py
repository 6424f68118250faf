"""Tar archives that anyone may have written: their headers are believed only so far."""

import tarfile
from pathlib import Path
from typing import BinaryIO, Self


def open_tar(
    source: Path | BinaryIO, *, plain: bool = False, largest: int | None = None, most: int | None = None
) -> tarfile.TarFile:
    """Open an archive that ends in a `tarfile.ReadError` where a header is made to use up memory or time.

    That is one that leads back to an earlier one, or that announces more than 10 KiB of names and remarks,
    which `tarfile` would take into memory.

    Args:
        source: its path, or the opened file.
        plain: not compressed.
        largest: so many bytes a file in it may have.
        most: so many headers it may have.
    """
    current: tarfile.TarFile | None = None
    reached, headers = -1, 0

    class Member(tarfile.TarInfo):
        @classmethod
        def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
            nonlocal current, reached, headers
            if archive is not current:  # tarfile tries one compression after the other
                current, reached, headers = archive, -1, 0
            headers += 1
            if archive.offset <= reached:
                raise tarfile.ReadError("it leads back into itself")
            if most is not None and headers > most:
                raise tarfile.ReadError(f"it has more than {most} files")
            reached = archive.offset
            return super().fromtarfile(archive)

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            member = super().frombuf(buf, encoding, errors)
            limit = largest if member.isreg() else tarfile.RECORDSIZE
            if limit is not None and member.size > limit:
                raise tarfile.ReadError(f"it announces {member.size:,} bytes")
            return member

    if isinstance(source, Path):
        return tarfile.open(source, "r:" if plain else "r:*", tarinfo=Member)
    return tarfile.open(fileobj=source, mode="r:" if plain else "r:*", tarinfo=Member)
