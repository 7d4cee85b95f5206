"""Folders and files: made durable, copied, and deleted without ever touching what is not ours.

A name is durable when the folder that holds it was fsynced, and that folder's name when its parent was. Some file
systems have no fsync for folders; they are used without, as SQLite does.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import stat
from pathlib import Path

from latelite.errors import StoreError
from latelite.files import fsync_folder

logger = logging.getLogger(__name__)

SEGMENT_NAME = re.compile(r"[0-9]{8,}-[0-9a-f]{8}")
"""The folder names that this package makes and therefore may delete."""

PRIVATE = 0o700
"""Mode of the folders that are made: people keep private documents in a collection."""

LITTER = frozenset({"lost+found", ".DS_Store", ".directory", "Thumbs.db", "desktop.ini", ".stfolder"})
"""What systems and synchronisers put into folders by themselves."""


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, private and durable: each new name is fsynced into the folder that holds it.

    Raises:
        StoreError: there is a file or a symbolic link of that name.
    """
    missing = []
    step = folder
    while not step.exists() and not step.is_symlink() and step != step.parent:
        missing.append(step)
        step = step.parent
    for new in reversed(missing):
        with contextlib.suppress(FileExistsError):
            new.mkdir(mode=PRIVATE)
    if not folder.is_dir():
        raise StoreError(f"{folder} is a file; a folder of its own is needed there.")
    for new in reversed(missing):
        fsync_folder(new.parent)


def refuse_link(path: Path) -> None:
    """Raise StoreError when ``path`` is a symbolic link: files behind it are not part of the folder."""
    if path.is_symlink():
        raise StoreError(
            f"{path} is a symbolic link; what belongs to an index must lie in its own folder. Move the whole folder "
            "and link to it from outside instead."
        )


def refuse_special(path: Path) -> None:
    """Raise StoreError when ``path`` is there, but no plain file: a link, a folder, a pipe that would never end."""
    refuse_link(path)
    if path.exists() and not is_regular(path):
        raise StoreError(f"{path} is no plain file; it does not belong to an index.")


def fsync_file(path: Path) -> None:
    """Put the content of a file that another library wrote on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def copy_file(source: Path, target: Path) -> None:
    """Copy one file, durably, sharing its blocks where the file system can (which makes it free).

    ``target`` is a file of its own afterwards, whatever ``source`` was: links are followed. It replaces a file that
    an interrupted copy left behind.
    """
    target.unlink(missing_ok=True)
    with source.open("rb") as origin, target.open("xb") as copy:
        if not _reflink(copy.fileno(), origin.fileno()):
            shutil.copyfileobj(origin, copy, 1 << 20)
        copy.flush()
        os.fsync(copy.fileno())


def _reflink(target: int, source: int) -> bool:
    """Share the blocks of one open file with another; False where that is not possible."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    ficlone = 0x40049409  # linux/fs.h
    try:
        fcntl.ioctl(target, ficlone, source)
    except OSError:
        return False
    return True


def delete_segments(folder: Path, keep: set[str]) -> None:
    """Delete the segments in ``folder`` that are not named in ``keep``; everything else there stays.

    Only plain folders whose names match `SEGMENT_NAME` are deleted, and links are never followed.
    """
    try:
        found = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        if entry.name not in keep and SEGMENT_NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            delete_folder(Path(entry.path))


def delete_folder(folder: Path) -> None:
    """Delete a folder that this package made; what cannot be deleted now is left for the next writer."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        logger.debug("left %s for the next writer: %s", folder, error)


def lacks_locks(folder: Path) -> str | None:
    """Why files in ``folder`` cannot be locked; None where they can.

    SQLite reports a file system without locks (NFS without lockd, some FUSE and SMB mounts) as one that another
    process has locked.
    """
    try:
        import fcntl
    except ImportError:
        return None
    probe = folder / f".lock-probe-{os.getpid()}"
    try:
        with probe.open("wb") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF):
            return os.strerror(error.errno)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
    return None


def is_regular(path: Path) -> bool:
    """Whether there is a plain file, which is not a link, a pipe or a device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False
