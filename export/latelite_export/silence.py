"""Suppresses other libraries' warnings about problems that the exporter checks itself."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from logging import ERROR

from transformers.utils import logging


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Inside the block, hide warnings and all log lines below errors of transformers and the tracer."""
    level = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
