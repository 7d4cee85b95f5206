"""The commands of ``latelite``, one module each: `register` adds its arguments, a function runs it.

A command imports what it needs when it runs, so that ``--help`` is instant.
"""

from __future__ import annotations

from latelite.commands import (
    backup,
    compact,
    demo,
    doctor,
    encode,
    export,
    get,
    importing,
    index,
    info,
    listing,
    mcp,
    mine,
    reindex,
    remove,
    rerank,
    search,
    serve,
    sources,
    verify,
    watch,
)

ALL = (
    index,
    sources,
    watch,
    search,
    serve,
    mcp,
    get,
    listing,
    remove,
    verify,
    compact,
    backup,
    export,
    importing,
    reindex,
    encode,
    rerank,
    mine,
    info,
    doctor,
    demo,
)
"""In the order of ``latelite --help``."""
