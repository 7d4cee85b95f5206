"""Keeping other libraries' warnings off the user's screen while the exporter checks what they warn about itself."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from logging import ERROR

from transformers.utils import logging


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """No warnings and no log lines below errors from transformers and the tracer, inside the block only."""
    level = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
