"""``latelite rerank``: rank texts by a query."""

from __future__ import annotations

import argparse

from latelite.commands.console import (
    EPILOG,
    MODEL_HELP,
    OK,
    Commands,
    common,
    encoding,
    load_model,
    one_line,
    print_report,
    standard_input_lines,
)


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    command = commands.add_parser("rerank", parents=[common(), encoding()], help="rank texts by a query", epilog=EPILOG)
    command.add_argument("query")
    command.add_argument("texts", nargs="*", help="texts (default: lines of standard input)")
    command.add_argument("--model", help=MODEL_HELP)
    command.set_defaults(command=_rerank)


def _rerank(options: argparse.Namespace) -> int:
    from latelite.rank import rerank

    numbered = list(enumerate(options.texts, start=1)) or standard_input_lines()
    texts = [text for _, text in numbered]
    model = load_model(options)
    documents = model.encode_document(texts, show_progress_bar=options.progress)
    (ranked,) = rerank([range(len(texts))], [model.encode_query(options.query)], [documents])
    results = [
        {"line": numbered[int(r["id"])][0], "score": round(r["score"], 6), "text": texts[int(r["id"])]} for r in ranked
    ]
    lines = [f"{r['score']:7.3f}  {one_line(texts[int(r['id'])], 160)}" for r in ranked]
    print_report(options, {"query": options.query, "results": results}, "\n".join(lines))
    return OK
