"""Members of ZIP-based documents, with a limit on their decompressed size."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import IO, Any, BinaryIO

LARGEST = 1 << 28
"""Maximum decompressed bytes of a member, far above any real document."""


class Archive:
    """An untrusted ZIP file."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise ValueError(f"it is a damaged ZIP file: {error}") from error
        self.names = frozenset(self._zip.namelist())

    def open(self, name: str) -> BinaryIO:
        """The decompressed bytes of a member; reading past `LARGEST` raises ValueError."""
        try:
            member = self._zip.getinfo(name)
            if member.flag_bits & 1:
                raise ValueError("it is locked with a password")
            return io.BufferedReader(_Bounded(self._zip.open(member), name), 1 << 16)
        except KeyError as error:
            raise ValueError(f"it has no part {name}") from error
        except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
            raise ValueError(f"its part {name} cannot be read: {error}") from error


class _Bounded(io.RawIOBase):
    """A member with a limit on its decompressed size; damage raises ValueError."""

    def __init__(self, member: IO[bytes], name: str) -> None:
        self._member = member
        self._name = name
        self._left = LARGEST

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._member.read(len(buffer))
        except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, zlib.error) as error:
            raise ValueError(f"its part {self._name} is damaged: {error}") from error
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"its part {self._name} unpacks to more than {LARGEST >> 20} MiB")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._member.close()
        super().close()
