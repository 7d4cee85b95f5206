"""Atomic writing of a bundle folder."""

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
    """Check that a bundle may be written to ``out``.

    Raises:
        OutputExistsError: ``out`` exists, and either ``override`` is off or it is not a bundle.
    """
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not any(out.iterdir()):
        return
    if not (out / MANIFEST_NAME).is_file():
        raise OutputExistsError(f"{out} exists and is not a bundle, so it is not replaced; choose another output.")
    if not override:
        raise OutputExistsError(f"{out} exists; replace it with --override, or choose another output.")


@contextlib.contextmanager
def staging(out: Path, *, override: bool) -> Iterator[Path]:
    """A temporary folder beside ``out``: renamed to ``out`` if the block succeeds, deleted if it raises.

    An existing bundle is moved aside before the rename, and moved back if the rename fails.

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
    """The licence and notice files of a checkpoint or bundle; they are copied with its weights."""
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
    if aside.is_symlink():  # delete the link, never the folder that it points to
        aside.unlink()
    else:
        shutil.rmtree(aside)
