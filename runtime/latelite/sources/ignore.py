"""Patterns of files to ignore, with the semantics of ``.gitignore``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

IGNORE_FILE = ".latelignore"
"""Name of an ignore file; its patterns apply below its folder."""


@dataclass(frozen=True)
class Pattern:
    """One line of an ignore file."""

    expression: re.Pattern[str]
    base: str
    """Folder of the ignore file relative to the root, "" or ending with a slash."""
    negated: bool
    folders_only: bool

    def matches(self, path: str, *, is_folder: bool) -> bool:
        """Whether the pattern matches ``path`` (relative to the root, with slashes)."""
        if self.folders_only and not is_folder:
            return False
        return path.startswith(self.base) and self.expression.fullmatch(path, len(self.base)) is not None


def parse(lines: Iterable[str], base: str = "") -> list[Pattern]:
    """The patterns of an ignore file, without comments and empty lines."""
    return [pattern for line in lines if (pattern := _pattern(line, base)) is not None]


def is_ignored(path: str, patterns: Sequence[Pattern], *, is_folder: bool) -> bool:
    """Whether the last pattern that matches ``path`` ignores it. Ignored folders are not entered."""
    for pattern in reversed(patterns):
        if pattern.matches(path, is_folder=is_folder):
            return not pattern.negated
    return False


def _pattern(line: str, base: str) -> Pattern | None:
    line = line.rstrip("\r\n")
    # Trailing spaces are ignored unless escaped.
    stripped = line.rstrip(" ")
    escaped = (len(stripped) - len(stripped.rstrip("\\"))) % 2
    line = line[: len(stripped) + escaped]
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    if negated:
        line = line[1:]
    folders_only = line.endswith("/")
    line = line.rstrip("/") if folders_only else line
    anchored = "/" in line
    line = line.removeprefix("/")
    if not line:
        return None
    try:
        expression = re.compile(("" if anchored else "(?:.*/)?") + _expression(line), re.DOTALL)
    except re.error:
        return None  # an invalid bracket expression matches nothing, as in git
    return Pattern(expression, base, negated, folders_only)


def _expression(glob: str) -> str:
    out = []
    position = 0
    while position < len(glob):
        rest = glob[position:]
        at_start = position == 0 or glob[position - 1] == "/"
        if at_start and rest.startswith("**/"):
            out.append("(?:.*/)?")
            position += 3
        elif at_start and rest == "**":
            out.append(".+")
            position += 2
        elif rest[0] == "*":
            out.append("[^/]*")
            position += len(rest) - len(rest.lstrip("*"))
        elif rest[0] == "?":
            out.append("[^/]")
            position += 1
        elif rest[0] == "[":
            end = _bracket_end(rest)
            inside = rest[1:end]
            inverted = inside[0] in "!^"
            inside = (
                (inside[1:] if inverted else inside).replace("[", r"\[").replace("&&", r"&\&").replace("~~", r"~\~")
            )
            inside = "\\" + inside if inside[0] in "]^" else inside
            out.append(f"(?!/)[{'^' if inverted else ''}{inside}]")
            position += end + 1
        elif rest[0] == "\\" and len(rest) > 1:
            out.append(re.escape(rest[1]))
            position += 2
        else:
            out.append(re.escape(rest[0]))
            position += 1
    return "".join(out)


def _bracket_end(text: str) -> int:
    """Index of the bracket that closes the one at the start of ``text``; raises re.error if there is none."""
    first = 2 if text[1:2] in ("!", "^") else 1
    end = text.find("]", first + 1)
    if end < 0:
        raise re.error("a bracket is not closed")
    return end
