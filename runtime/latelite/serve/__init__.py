"""Collections over HTTP: a search page, a small API, and reranking for other programs. Needs the extra ``serve``.

`create_app` makes the ASGI application, which can be tested or mounted without a socket; `run` serves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latelite.serve.app import create_app
    from latelite.serve.limits import Limits
    from latelite.serve.server import run

__all__ = ["Limits", "create_app", "run"]


def __getattr__(name: str) -> Any:
    from latelite.errors import MissingExtraError

    if name == "Limits":
        from latelite.serve.limits import Limits

        return Limits
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"latelite serve needs {error.name}, which is not installed; run: pip install 'latelite[serve]'"
        ) from error
    if name == "create_app":
        from latelite.serve.app import create_app

        return create_app
    from latelite.serve.server import run

    return run
