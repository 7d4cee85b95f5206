"""Model Context Protocol over standard input and output: assistants search a collection.

Written by hand on the standard library, for the protocol's own SDK brings some twenty packages. Nothing here imports
NumPy or ONNX Runtime before the first request has been answered: assistants give up on servers that start slowly.
"""

from __future__ import annotations

from latelite.mcp.stdio import serve

__all__ = ["serve"]
