"""``latelite-export``: the command line."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latelite.manifest import Manifest
    from latelite_export.checkpoint import Checkpoint

_SCHEMES = ("int8", "int8-avx2", "fp32")  # those of `quantize`, which would import ONNX
_INSTALL = 'the exporter needs more than the runtime: pip install "latelite[export]"'

_DESCRIPTION = """\
Export a late-interaction (ColBERT) checkpoint to a bundle: one folder that is all a small computer needs to search,
without PyTorch. The bundle is verified against the checkpoint before it is written."""

_EPILOG = """\
Verify a bundle, on any machine:

  latelite-export verify BUNDLE              checksums, loading, the vectors stored in the bundle (no PyTorch needed)
  latelite-export verify BUNDLE CHECKPOINT   the whole gate again, against the checkpoint

Package a bundle:

  latelite-export BUNDLE --wheel [-o FOLDER] one wheel per graph (default folder: dist); after `pip install WHEEL`
                                             latelite uses the model by default

Exit codes: 0 done, 1 failed (one sentence on standard error), 2 wrong usage."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["verify"]:
            return _verify(_verify_parser().parse_args(arguments[1:]))
        parser = _export_parser()
        options = parser.parse_args(arguments)
        if options.wheel and _is_bundle(options.checkpoint):
            return _report_errors(lambda _: _wheels(options.checkpoint, options.output or "dist"))
        if options.output is None:
            parser.error("name the folder to write with -o/--output BUNDLE")
        return _export(options)
    except KeyboardInterrupt:
        print("\nlatelite-export: interrupted, nothing was written.", file=sys.stderr)
        return 1


def _export_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "latelite-export",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder or hub id; with --wheel, also a bundle")
    parser.add_argument("-o", "--output", metavar="BUNDLE", help="folder to write")
    parser.add_argument("--wheel", action="store_true", help="also write the bundle's wheels beside it, one per graph")
    parser.add_argument("--override", action="store_true", help="replace an existing bundle")
    parser.add_argument(
        "--scheme",
        choices=_SCHEMES,
        default="int8",
        help="int8-avx2: 7-bit weights, for x86 CPUs without VNNI; fp32: no int8 graph (default: int8)",
    )
    parser.add_argument(
        "--query-expansion",
        choices=("on", "off"),
        help="pad queries with mask tokens (default: as the checkpoint does)",
    )
    parser.add_argument("--query-length", type=int, metavar="N", help="maximum tokens of a query")
    parser.add_argument("--document-length", type=int, metavar="N", help="maximum tokens of a document")
    parser.add_argument("--query-prefix", metavar="TOKEN", help='marker of queries, e.g. "[QueryMarker]"; "" for none')
    parser.add_argument("--document-prefix", metavar="TOKEN", help="marker of documents")
    parser.add_argument(
        "--attend-to-expansion",
        nargs="?",
        const="on",
        choices=("on", "off"),
        help="whether tokens attend to expansion tokens (default: as in the checkpoint)",
    )
    parser.add_argument("--dim", type=int, metavar="N", help="keep the first N dimensions (Matryoshka checkpoints)")
    _add_shared(parser)
    return parser


def _verify_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("latelite-export verify", description="Verify a bundle on this machine.")
    parser.add_argument("bundle", metavar="BUNDLE")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", nargs="?", help="repeat the whole gate against it")
    parser.add_argument("--pylate", metavar="PYTHON", help="also compare with PyLate, run by this interpreter")
    _add_shared(parser)
    return parser


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit on the hub")
    parser.add_argument("--token", metavar="TOKEN", help="access token for the hub")
    parser.add_argument("--offline", action="store_true", help="use only files downloaded before, no network")
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="run the checkpoint's own Python code; read it first"
    )
    parser.add_argument(
        "--ignore-remote-code",
        action="store_true",
        help="load the architecture named by model_type and ignore the checkpoint's own code",
    )
    parser.add_argument(
        "--code-revision", metavar="REV", help="commit of the repository that the checkpoint's code is in"
    )
    parser.add_argument(
        "--gate-texts",
        metavar="FOLDER",
        help="texts to tune and judge the int8 graph on: files NAME.json with lists queries and documents",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")


def _export(arguments: argparse.Namespace) -> int:
    def run(stage: Callable[[str], None]) -> int:
        from latelite_export.pipeline import export

        started = time.monotonic()
        manifest = export(
            arguments.checkpoint,
            arguments.output,
            revision=arguments.revision,
            token=arguments.token,
            offline=arguments.offline,
            override=arguments.override,
            query_expansion=_switch(arguments.query_expansion),
            query_length=arguments.query_length,
            document_length=arguments.document_length,
            query_prefix=arguments.query_prefix,
            document_prefix=arguments.document_prefix,
            attend_to_expansion=None
            if arguments.attend_to_expansion is None
            else arguments.attend_to_expansion == "on",
            dim=arguments.dim,
            scheme=arguments.scheme,
            trust_remote_code=arguments.trust_remote_code,
            ignore_remote_code=arguments.ignore_remote_code,
            code_revision=arguments.code_revision,
            gate_texts=arguments.gate_texts,
            on_stage=stage,
            on_settings=_print_settings,
        )
        if arguments.json:
            print(manifest.to_json(), end="")
        else:
            _print_report(manifest.verification)
            _print_costs(arguments.output, manifest, time.monotonic() - started)
        return _wheels(arguments.output, Path(arguments.output).parent) if arguments.wheel else 0

    return _report_errors(run, debug=arguments.debug)


def _switch(value: str | None) -> bool | None:
    return None if value is None else value == "on"


def _is_bundle(path: str) -> bool:
    from latelite.manifest import MANIFEST_NAME

    return (Path(path) / MANIFEST_NAME).is_file()


def _wheels(bundle: str, folder: str | Path) -> int:
    from latelite_export import wheel

    for path in wheel.write_all(bundle, folder):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    def run(stage: Callable[[str], None]) -> int:
        report: dict[str, Any]
        if arguments.checkpoint is None:
            from latelite_export.verify import check

            report = check(Path(arguments.bundle))
        else:
            from latelite_export.pipeline import reverify

            report = reverify(
                arguments.bundle,
                arguments.checkpoint,
                revision=arguments.revision,
                token=arguments.token,
                offline=arguments.offline,
                trust_remote_code=arguments.trust_remote_code,
                ignore_remote_code=arguments.ignore_remote_code,
                code_revision=arguments.code_revision,
                gate_texts=arguments.gate_texts,
                pylate=arguments.pylate,
                on_stage=stage,
            )
        if arguments.json:
            print(json.dumps(report, indent=2, ensure_ascii=False))
        else:
            _print_report(report)
            print(f"{arguments.bundle}: verified", file=sys.stderr)
        return 0

    return _report_errors(run, debug=arguments.debug)


def _report_errors(run: Callable[[Callable[[str], None]], int], *, debug: bool = False) -> int:
    """Call ``run``; report any exception as one sentence and exit code 1."""
    from latelite.errors import LateliteError

    try:
        return run(_stage())
    except Exception as error:  # noqa: BLE001 - libraries may raise anything on a malformed checkpoint
        if debug:
            traceback.print_exc()
        text = " ".join(str(error).split())
        if isinstance(error, ModuleNotFoundError):
            text = f"{error.name} is not installed; {_INSTALL}"
        elif not isinstance(error, LateliteError | OSError):
            text = f"unexpected {type(error).__name__}: {text[:300]} (use --debug for the traceback)"
        print(f"latelite-export: {text}", file=sys.stderr)
    return 1


def _print_costs(out: str, manifest: Manifest, seconds: float) -> None:
    """Print the sizes, time and memory of an export."""
    sizes = ", ".join(f"{name} {entry.bytes / 1e6:.1f}" for name, entry in manifest.files.items())
    total = sum(entry.bytes for entry in manifest.files.values()) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"{out}: dim {manifest.dim}, {total:.1f} MB ({sizes})", file=sys.stderr)
    print(f"took {seconds / 60:.1f} minutes and {peak / 1e9:.1f} GB of memory", file=sys.stderr)


def _stage() -> Callable[[str], None]:
    """A callback that prints one line per stage with the elapsed time; silent unless standard error is a terminal."""
    start = time.monotonic()
    visible = bool(sys.stderr and sys.stderr.isatty())

    def show(text: str) -> None:
        if visible:
            print(f"[{time.monotonic() - start:6.1f} s] {text}", file=sys.stderr, flush=True)

    return show


def _print_settings(checkpoint: Checkpoint) -> None:
    """Print a table of the resolved settings: name, value, source."""
    rows = []
    for name, value in asdict(checkpoint.settings).items():
        shown = f"{len(value)} words" if name == "skiplist_words" else json.dumps(value, ensure_ascii=False)
        rows.append((name, shown, checkpoint.sources.get(name, "")))
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    print(f"{checkpoint.id}: {checkpoint.layout} layout", file=sys.stderr)
    for name, shown, source in rows:
        print(f"  {name:<{widths[0]}}  {shown:<{widths[1]}}  {source}", file=sys.stderr)
    for note in checkpoint.notes:
        print(f"note: {note}", file=sys.stderr)


def _print_report(report: Any) -> None:
    if "fp32" in report:
        found = report["fp32"]
        print(f"fp32: largest difference {found['max_abs_error']:.1e} ({found['worst']})", file=sys.stderr)
    if "pylate" in report:
        found = report["pylate"]
        print(f"{found['library']}: fp32 differs by at most {found['fp32']['max_abs_error']:.1e}", file=sys.stderr)
    if "int8" in report:
        found = report["int8"]
        overlap = f", top-10 overlap {found['top10_overlap']:.3f}" if "top10_overlap" in found else ""
        print(
            f"int8: token cosine mean {found['cosine_mean']:.4f}, 1st percentile {found['cosine_p1']:.4f}{overlap} "
            f"(worst: {found['worst']})",
            file=sys.stderr,
        )


if __name__ == "__main__":
    sys.exit(main())
