"""``latelite demo``: questions in seven languages about Python's standard library."""

from __future__ import annotations

import argparse

from latelite.commands.console import EPILOG, MODEL_HELP, OK, Commands, encoding


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "demo",
        parents=[encoding()],
        help="search Python's standard library in seven languages",
        epilog=EPILOG,
        description="Index about two thousand docstrings of this Python's standard library, and answer eight questions "
        "in seven languages. A second run reuses the index.",
    )
    command.add_argument("--model", help=MODEL_HELP)
    command.add_argument(
        "--collection", default="stdlib.lt", help="folder for the indexed docstrings (default: stdlib.lt)"
    )
    command.set_defaults(command=_demo)


def _demo(options: argparse.Namespace) -> int:
    from latelite import default_model, demo
    from latelite.collection import Collection

    model = default_model.resolve(options.model, precision=options.precision)
    with Collection(options.collection, model, precision=options.precision, threads=options.threads) as collection:
        demo.answer(collection, write=lambda line: print(line, flush=True))
    named = f" --model {options.model}" if options.model else ""
    print(f"\nThe collection is {options.collection}. To search a folder of your own:")
    print(f"  latelite index notes.lt FOLDER{named}")
    print('  latelite search notes.lt "your question, in any of the seven languages"')
    return OK
