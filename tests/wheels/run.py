"""Build latelite's wheel and its model's once, and run the runtime's tests with the installed wheels, not the source.

On every Python from 3.11 to 3.14 that is found (on PATH, in pyenv, or named with --python), with the oldest and the
newest dependencies that have wheels for it; then the smallest installation that works, without any dependency of a
dependency. ``--smoke`` uses this Python, the newest dependencies and a few tests.

``--dist FOLDER`` tests the files of a release instead of building, on this Python with the newest dependencies: the
sdist must give the wheel beside it, and the demo must run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TESTS = ("tests/runtime", "tests/docs")
SMOKE = ("tests/runtime/test_models.py", "tests/runtime/test_default_bundle.py", "tests/runtime/test_default_model.py")
OLDEST: dict[str, tuple[str, ...]] = {
    "3.11": ("numpy==1.26.0", "onnxruntime==1.20.0", "tokenizers==0.20.0"),
    "3.12": ("numpy==1.26.0", "onnxruntime==1.20.0", "tokenizers==0.20.0"),
    "3.13": ("numpy==2.1.0", "onnxruntime==1.20.0", "tokenizers==0.20.2"),
    "3.14": ("numpy==2.3.2", "onnxruntime==1.24.2", "tokenizers==0.21.0"),
}
"""Python -> oldest versions that pyproject.toml allows and that have wheels for it."""
NEWEST: tuple[str, ...] = ("numpy", "onnxruntime", "tokenizers")
FIRST_USE = """
import latelite, sys
from latelite import Collection
assert "site-packages" in latelite.__file__, latelite.__file__
with Collection("notes.lt") as notes:
    notes.add(["bread", "train"], ["Rye bread needs a hot oven.", "The night train leaves at seven."])
    assert notes.search("Wann fährt der Zug?", k=1)[0].id == "train"
heavy = {"torch", "transformers", "onnx", "huggingface_hub", "hnswlib"} & set(sys.modules)
assert not heavy, heavy
"""


def main() -> int:
    """Build, then test each combination; returns the number of failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".venv-wheels", help="environments and wheels")
    parser.add_argument("--python", action="append", default=[], help="an interpreter; may be repeated")
    parser.add_argument("--smoke", action="store_true", help="this Python, the newest dependencies, a few tests")
    parser.add_argument("--dist", type=Path, metavar="FOLDER", help="test the wheels and the sdist in this folder")
    options = parser.parse_args()
    folder = options.folder.resolve()
    wheels = _release(options.dist.resolve(), folder / "sdist") if options.dist else _build(folder / "dist")
    tests: tuple[str, ...] = SMOKE if options.smoke else TESTS
    if options.smoke or options.dist:
        pythons, sets = {_version(sys.executable): sys.executable}, ["newest"]
    else:
        pythons, sets = _pythons(options.python), ["oldest", "newest"]
    failed = []
    for version, python in pythons.items():
        for name in sets:
            requirements = NEWEST if name == "newest" else OLDEST[version]
            if not _passes(folder / f"{version}-{name}", python, requirements, wheels, tests):
                failed.append(f"{version} {name}")
        if not _smallest(folder / f"{version}-smallest", python, wheels):
            failed.append(f"{version} smallest")
    if options.dist and not _demo(folder / f"{next(iter(pythons))}-newest"):
        failed.append("latelite demo")
    missing = [] if options.smoke or options.dist else [version for version in OLDEST if version not in pythons]
    print(f"passed on {', '.join(pythons)}" if not failed else f"FAILED: {', '.join(failed)}", end="")
    print(f"; not found: Python {', '.join(missing)}" if missing else "")
    return len(failed)


def _build(folder: Path) -> list[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder)]
    _run([*pip, str(REPOSITORY)])
    for precision in ("int8", "fp32"):
        _run([*pip, "-C", f"precision={precision}", str(REPOSITORY / "models/default-onnx")])
    found = sorted(folder.glob("*.whl"))
    print("\n".join(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB" for path in found), flush=True)
    return found


def _release(dist: Path, folder: Path) -> list[Path]:
    """The wheels in ``dist``; exits unless the sdist beside them gives latelite's wheel with the same content."""
    wheels, (sdist,) = sorted(dist.glob("*.whl")), dist.glob("latelite-*.tar.gz")
    (wheel,) = (path for path in wheels if path.name.startswith("latelite-"))
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(sdist)])
    differ = _checksums(wheel).items() ^ _checksums(folder / wheel.name).items()
    if differ:
        sys.exit(f"{sdist.name} gives another wheel than {wheel.name}: {sorted({name for name, _ in differ})}")
    print(f"{sdist.name}, {sdist.stat().st_size / 1e6:.1f} MB: gives {wheel.name}", flush=True)
    return wheels


def _checksums(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as archive:
        return {member.filename: member.CRC for member in archive.infolist()}


def _demo(folder: Path) -> bool:
    """Whether the demo answers its questions in an installation of the wheels, outside of the repository."""
    run = _use(folder / "venv", [str(folder / "venv/bin/latelite"), "demo", "--collection", "stdlib.lt"], folder)
    print(f"latelite demo: {run.stdout.count('[') if run.returncode == 0 else run.stderr} questions", flush=True)
    return run.returncode == 0 and "shutil.rmtree" in run.stdout


def _pythons(named: Sequence[str]) -> dict[str, str]:
    """Version -> interpreter, for the versions that the wheels are for."""
    places = [*named, sys.executable]
    for version in OLDEST:
        places += filter(None, [shutil.which(f"python{version}")])
        places += map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")))
    found: dict[str, str] = {}
    for place in places:
        try:
            found.setdefault(_version(place), place)
        except (OSError, subprocess.CalledProcessError):  # pyenv's shims of versions that are not active
            continue
    return {version: found[version] for version in OLDEST if version in found}


def _version(python: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _passes(
    folder: Path, python: str, requirements: Sequence[str], wheels: Sequence[Path], tests: Sequence[str]
) -> bool:
    """Run the tests in a new environment without the source tree."""
    start = time.monotonic()
    venv = _environment(folder, python)
    _run([*_pip(venv), "--only-binary", ":all:", *requirements, *map(str, wheels), "pytest", "hypothesis"])
    run = _use(venv, ["-m", "pytest", "-q", "-p", "no:cacheprovider", *tests], REPOSITORY)
    said = run.stdout.strip().splitlines()
    _report(folder, run, f"{said[-1] if said else run.stderr.strip()}, {time.monotonic() - start:.0f} s in all")
    if run.returncode:
        print("\n".join(line for line in said if re.match("FAILED|ERROR", line)), flush=True)
    return run.returncode == 0


def _smallest(folder: Path, python: str, wheels: Sequence[Path]) -> bool:
    """Run latelite with its int8 model and three packages, without their dependencies."""
    venv = _environment(folder, python)
    model = [path for path in wheels if "fp32" not in path.name]
    _run([*_pip(venv), "--only-binary", ":all:", "--no-deps", *NEWEST, *map(str, model)])
    run = _use(venv, ["-c", FIRST_USE], folder)
    size = sum(path.stat().st_size for path in (venv / "lib").rglob("*") if path.is_file() and "/pip" not in str(path))
    _report(folder, run, f"without dependencies: {'works' if run.returncode == 0 else run.stderr}, {size / 1e6:.0f} MB")
    return run.returncode == 0


def _report(folder: Path, run: subprocess.CompletedProcess[str], text: str) -> None:
    (folder / "output.txt").write_text(run.stdout + run.stderr)
    print(f"{folder.name}: {text}", flush=True)


def _environment(folder: Path, python: str) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run([python, "-m", "venv", str(folder / "venv")])
    return folder / "venv"


def _pip(venv: Path) -> list[str]:
    return [str(venv / "bin/python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]


def _use(venv: Path, arguments: Sequence[str], where: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(venv / "bin/python"), *arguments]
    return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
