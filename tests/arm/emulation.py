"""Run latelite on an emulated Raspberry Pi 4 (Cortex-A72) and Raspberry Pi 5 (Cortex-A76).

It sets up a root folder with Debian's Python for arm64, installs the wheels of latelite and its model there with pip,
runs tests/arm/guest.py with each CPU, and exchanges collections between this machine and the emulated ones in both
directions. Needs x86-64 Debian (or a derivative with qemu-user 10, or backports that have it), pip, network; no root,
no binfmt. Where that is missing it says so and ends with status 0. Times under emulation say nothing about boards.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
GUEST = Path(__file__).with_name("guest.py")
CPUS = {"cortex-a72": "fp32", "cortex-a76": "int8"}
"""What is emulated, and the precision that latelite must choose there by itself."""
DOCUMENTS = {"x86": 120, "emulated": 16}
"""In the collections that each writes: emulation takes seconds a document."""
QEMU = 10  # earlier ones show the host's /proc/cpuinfo, with which ONNX Runtime crashes
PACKAGES = ("python3-minimal", "python3-distutils", "libstdc++6")
SHIM = """#!/bin/sh
# The emulated Python, also for the processes that it starts: without binfmt the kernel cannot run its binary.
exec {qemu} -cpu {cpu} -L {root} -0 "$0" {root}/usr/bin/python3 "$@"
"""


class Missing(Exception):
    """What this machine lacks; the run is skipped."""


def main() -> int:
    """Set up, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".venv-arm", help="kept between runs: .venv-arm")
    parser.add_argument("--bundle", type=Path, default=REPOSITORY / "models/default-onnx", help="the model")
    parser.add_argument("--keep", action="store_true", help="use what an earlier run has installed")
    parser.add_argument("--suite", action="store_true", help="run the runtime's tests too, on the emulated Pi 4")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    log = Log(folder / "log.txt")
    try:
        qemu, root = _system(folder, log)
    except Missing as reason:
        log(f"skipped: {reason}")
        return 0
    site = folder / "site"
    shims = {cpu: _shim(folder / cpu, qemu, cpu, root) for cpu in CPUS}
    if not (options.keep and site.exists()):
        shutil.rmtree(site, ignore_errors=True)
        _install(folder, site, shims["cortex-a72"], options.bundle, log)
    exchange = folder / "exchange"
    shutil.rmtree(exchange, ignore_errors=True)
    exchange.mkdir()
    _guest([sys.executable], "write", exchange / "x86", options.bundle, "", log)
    for cpu, precision in CPUS.items():
        _guest([str(shims[cpu])], "check", exchange / cpu, options.bundle, precision, log, site)
        shutil.copytree(exchange / "x86", exchange / f"{cpu}-reads")
        _guest([str(shims[cpu])], "read", exchange / f"{cpu}-reads", options.bundle, "", log, site)
        _guest([str(shims[cpu])], "write", exchange / cpu, options.bundle, "", log, site)
        _guest([sys.executable], "read", exchange / cpu, options.bundle, "", log)
    if options.suite:
        _suite(folder, site, shims["cortex-a72"], log)
    log("passed")
    return 0


class Log:
    """Lines with the time since the start, on standard output and in a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        for line in text.splitlines():
            stamped = f"[{time.monotonic() - self._start:5.0f} s] {line}"
            print(stamped, flush=True)
            print(stamped, file=self._file, flush=True)


def _system(folder: Path, log: Log) -> tuple[Path, Path]:
    """The emulator, and the root folder with Python for arm64."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise Missing(f"made for x86-64 Linux, not for {platform.system()} {platform.machine()}")
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise Missing(f"{tool} is not installed")
    apt = Apt(folder / "apt")
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if qemu is None or _qemu_version(Path(qemu)) < QEMU:
        qemu = str(folder / "qemu/usr/bin/qemu-aarch64")
        if not Path(qemu).exists():
            apt.unpack(folder / "qemu", "qemu-user:amd64")
    if _qemu_version(Path(qemu)) < QEMU:
        raise Missing(f"qemu-user is older than {QEMU}, and no newer one is in Debian's backports for this release")
    root = folder / "root"
    if not (root / "usr/bin/python3").exists():
        apt.unpack(root, *PACKAGES, dependencies=True)
    log(f"{_output([qemu, '--version']).splitlines()[0]}; {len(list((root / 'usr/share/doc').iterdir()))} packages")
    return Path(qemu), root


class Apt:
    """apt-get with a state of its own: Debian's sources of this machine, and their backports, for arm64 and amd64."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}

    def unpack(self, target: Path, *packages: str, dependencies: bool = False) -> None:
        """Download packages, the newest there are, and unpack them, unconfigured, into a folder."""
        self._set_up()
        archives = self._folder / "cache/archives"
        shutil.rmtree(archives, ignore_errors=True)
        (archives / "partial").mkdir(parents=True)
        if dependencies:
            self._run("install", "-q", "-y", "--download-only", *packages)
        else:
            suite = ["-t", self._backports] if self._backports else []
            self._run("download", "-q", *suite, *packages, cwd=archives)
        for archive in sorted(archives.glob("*.deb")):
            subprocess.run(["dpkg", "-x", archive, target], check=True)

    def _set_up(self) -> None:
        if (self._folder / "ready").exists():
            return
        pattern = "$(REPO_URI) $(CODENAME)"
        listed = _output(["apt-get", "indextargets", "--format", f"$(ORIGIN) {pattern}", "Created-By: Packages"])
        sources = [line.split()[1:] for line in listed.splitlines() if line.startswith("Debian ")]
        main = [(uri, name) for uri, name in sources if "-" not in name]
        if not main:
            raise Missing("no Debian source is configured for apt-get (or run apt-get update first)")
        uri, name = main[0]
        for part in ("state/lists/partial", "cache/archives/partial", "sources"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        text = f"Types: deb\nURIs: {uri}\nSuites: {name} {name}-backports\nComponents: main\nSigned-By: {keys}\n"
        (self._folder / "sources/debian.sources").write_text(text)
        (self._folder / "apt.conf").write_text(
            f'Dir::State "{self._folder}/state"; Dir::State::status "{self._folder}/status"; '
            f'Dir::Cache "{self._folder}/cache"; Dir::Etc::sourcelist "/dev/null"; '
            f'Dir::Etc::sourceparts "{self._folder}/sources"; APT::Architecture "arm64"; '
            'APT::Architectures { "arm64"; "amd64"; }; APT::Install-Recommends "false"; Acquire::Languages "none";\n'
        )
        self._run("update", "-q")
        (self._folder / "ready").touch()

    @property
    def _backports(self) -> str:
        text = (self._folder / "sources/debian.sources").read_text()
        suite = re.search(r"(\S+-backports)", text)
        found = suite and any((self._folder / "state/lists").glob(f"*{suite[1]}_main_binary-amd64*"))
        return suite[1] if suite and found else ""

    def _run(self, *arguments: str, cwd: Path | None = None) -> None:
        command = ["apt-get", *arguments]
        done = subprocess.run(command, env=self._environment, cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"{' '.join(command)}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")


def _install(folder: Path, site: Path, shim: Path, bundle: Path, log: Log) -> None:
    """latelite, its model and the three packages that it imports, by pip on the emulated machine."""
    wheels = folder / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheels)]
    subprocess.run([*pip, str(REPOSITORY)], check=True)
    subprocess.run([sys.executable, "-m", "latelite_export.cli", bundle, "--wheel", "-o", wheels], check=True)
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(wheels), "pip"]
    subprocess.run(download, check=True)
    (runner,) = wheels.glob("pip-*.whl")
    ours = sorted(str(path) for path in wheels.glob("latelite*.whl"))
    command = [
        str(shim),
        f"{runner}/pip",
        "install",
        "-q",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--target",
        str(site),
    ]
    start = time.monotonic()
    subprocess.run([*command, "numpy", "onnxruntime", "tokenizers", *ours], check=True)
    names = sorted(path.name.removesuffix(".dist-info") for path in site.glob("*.dist-info"))
    log(f"pip, emulated: {', '.join(names)} in {time.monotonic() - start:.0f} s")


def _guest(
    python: Sequence[str], action: str, exchange: Path, bundle: Path, precision: str, log: Log, site: Path | None = None
) -> None:
    environment = dict(os.environ) | ({"PYTHONPATH": str(site)} if site else {})
    command: list[str | Path] = [
        *python,
        GUEST,
        action,
        exchange,
        bundle.resolve(),
        str(DOCUMENTS["emulated" if site else "x86"]),
        precision,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    where = Path(python[0]).parent.name if site else "x86"
    log("\n".join(f"{where:10} {action:5} {line}" for line in done.stdout.splitlines()))
    if done.returncode:
        log(done.stderr)
        raise SystemExit(f"{where}: {action} failed with status {done.returncode}")


def _suite(folder: Path, site: Path, shim: Path, log: Log) -> None:
    """tests/runtime with pytest, emulated."""
    tools = folder / "tools"
    if not tools.exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(tools), "--python-version", "3.11"]
        subprocess.run([*pip, "--only-binary", ":all:", "pytest", "hypothesis"], check=True)
    environment = {**os.environ, "PYTHONPATH": f"{site}:{tools}"}
    command = [str(shim), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/runtime"]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    log("\n".join(done.stdout.splitlines()[-30:]))
    if done.returncode:
        raise SystemExit(f"the suite failed with status {done.returncode}")


def _shim(folder: Path, qemu: Path, cpu: str, root: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "python3"
    path.write_text(SHIM.format(qemu=qemu, cpu=cpu, root=root))
    path.chmod(0o755)
    return path


def _qemu_version(path: Path) -> int:
    found = re.search(r"version (\d+)", _output([str(path), "--version"]))
    return int(found[1]) if found else 0


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
