"""The commands of ``latelite``: one module each, with its arguments (`register`) and what it does.

A command imports what it needs when it runs, so that ``--help`` stays instant.
"""

from __future__ import annotations

from latelite.commands import demo, doctor, encode, index, info, rerank, search, sources, watch

ALL = (index, sources, watch, search, encode, rerank, info, doctor, demo)
"""In the order of ``latelite --help``."""
