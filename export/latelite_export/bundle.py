"""Writing a bundle folder whole or not at all."""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from latelite.files import fsync_folder, sha256
from latelite.manifest import MANIFEST_NAME, FileEntry
from latelite_export.errors import OutputExistsError

_LICENCE = re.compile(r"(LICEN[CS]E|COPYING|NOTICE)(\W|$)", re.IGNORECASE)


def check_output(out: Path, *, override: bool) -> None:
    """Refuse an output path that must not be replaced.

    Raises:
        OutputExistsError: something is there and ``override`` is off, or it is not a bundle.
    """
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not any(out.iterdir()):
        return
    if not (out / MANIFEST_NAME).is_file():
        raise OutputExistsError(f"{out} exists and is not a bundle; it will not be replaced, choose another output.")
    if not override:
        raise OutputExistsError(f"{out} exists; replace it with --override, or choose another output.")


@contextlib.contextmanager
def staging(out: Path, *, override: bool) -> Iterator[Path]:
    """A new folder beside ``out`` that takes its place when the block ends well and disappears when it does not.

    A bundle that was at ``out`` is moved aside for the moment of the change, and moved back if that fails.

    Raises:
        OutputExistsError: see `check_output`.
    """
    check_output(out, override=override)
    out.parent.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(4)
    folder = out.with_name(f".{out.name}.{mark}.tmp")
    folder.mkdir()
    try:
        yield folder
        check_output(out, override=override)
        fsync_folder(folder)
        _replace(folder, out, out.with_name(f".{out.name}.{mark}.old"))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    fsync_folder(out.parent)


def licences(folder: Path) -> list[Path]:
    """The licence and notice files of a checkpoint or a bundle, which go wherever its weights go."""
    return sorted(path for path in folder.iterdir() if path.is_file() and _LICENCE.match(path.name))


def entry(path: Path) -> FileEntry:
    """Size and checksum of a file."""
    return FileEntry(bytes=path.stat().st_size, sha256=sha256(path))


def _replace(folder: Path, out: Path, aside: Path) -> None:
    if not out.exists():
        folder.rename(out)
        return
    out.rename(aside)
    try:
        folder.rename(out)
    except BaseException:
        aside.rename(out)
        raise
    if aside.is_symlink():  # what it points to belongs to somebody else
        aside.unlink()
    else:
        shutil.rmtree(aside)
