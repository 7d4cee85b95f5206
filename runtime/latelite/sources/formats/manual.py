"""Manual pages in roff: text without the formatter's requests."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import IO

from latelite.sources.blocks import LINE, PARAGRAPH, Block, Outline, heading_strength
from latelite.sources.formats.lines import lines

_ESCAPE = re.compile(
    r"\\(?:f(?:\[[^\]]*\]|\(..|.)|s[+-]?(?:\d{1,2}|\[[^\]]*\])|[*n](?:\[[^\]]*\]|\(..|.)|m\[[^\]]*\]|[hvwXZDlLb]'[^']*'|\((?P<two>..)"
    r"|\[(?P<name>[^\]]*)\]|(?P<one>.))"
)
_SPECIAL = {
    **{"em": "—", "en": "–", "hy": "-", "mi": "-", "bu": "•", "co": "©", "rg": "®", "aq": "'", "dq": '"', "lq": "“"},
    **{"rq": "”", "oq": "‘", "cq": "’", "Fo": "«", "Fc": "»", "ti": "~", "ha": "^", "rs": "\\", "ga": "`", "aa": "´"},
    **{"ss": "ß", "->": "→", "<-": "←", ">=": "≥", "<=": "≤", "mu": "×", "+-": "±", "de": "°", "sc": "§", "pl": "+"},
    **{"at": "@", "sh": "#", "Do": "$", "sl": "/", "ba": "|", "lB": "[", "rB": "]", "lC": "{", "rC": "}"},
}
_ACCENTED = {":": "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", ",": "\u0327", "o": "\u030a"}
_ONE = {"-": "-", "e": "\\", "'": "´", "`": "`", " ": " ", "0": " ", "t": "\t", "~": " "}
_REQUEST = re.compile(r"[.'][ \t]*([A-Za-z\\\"]\S*)?[ \t]*(.*)")
_ARGUMENT = re.compile(r'"((?:[^"]|"")*)"|(\S+)')
_SECTIONS = {"SH": 1, "Sh": 1, "SS": 2, "Ss": 2}
_PARAGRAPHS = frozenset({"PP", "P", "LP", "Pp", "TP", "IP", "HP", "It", "sp", "TQ"})
_FONTS = frozenset({"B", "I", "R", "BR", "RB", "BI", "IB", "IR", "RI", "SM", "SB"})
_JOINED = frozenset({"BR", "RB", "BI", "IB", "IR", "RI"})
# mdoc requests whose arguments are text.
_WORDS = frozenset({
    "It", "Nm", "Fl", "Ar", "Op", "Pa", "Xr", "Nd", "Dq", "Sq", "Ql", "Em", "Sy", "Cm", "Ic", "Li", "Ev", "Va",
    "Vt", "Fn", "Fa", "Ft", "Aq", "Bq", "Brq", "Pq", "Qq", "An", "Lb", "In", "Dv", "Er", "Sx", "St", "Ux", "Bx",
    "Fx", "Nx", "Ox", "Ns", "No", "Dl", "D1", "Lk", "Mt", "Oo", "Oc", "Ao", "Ac", "Do", "Dc", "UR", "MT",
})  # fmt: skip
_SILENT = frozenset({"Op", "Ns", "No", "Oo", "Oc", "Ao", "Ac", "Do", "Dc", "Ta"})


def read(text: IO[str]) -> Iterator[Block]:
    """A block for each line of text; sections and subsections are headings."""
    outline = Outline()
    title: str | None = None
    strength = PARAGRAPH
    skipping = False
    for number, line, _ in lines(text):
        if skipping:
            skipping = not line.startswith("..")
            continue
        request = _REQUEST.match(line)
        if not request:
            words = _plain(line)
        else:
            name, rest = request[1] or "", request[2]
            if name.startswith('\\"') or not name:
                continue
            if name in ("de", "ig", "de1", "am"):
                skipping = True
                continue
            arguments = [_plain(a.replace('""', '"') or b) for a, b in _ARGUMENT.findall(rest)]
            if name in ("TH", "Dt"):
                title = "{}({})".format(*arguments[:2]) if len(arguments) > 1 else " ".join(arguments)
                continue
            if name in _SECTIONS:
                heading = " ".join(arguments)
                outline.enter(_SECTIONS[name], heading)
                yield Block(f"{heading}\n", heading_strength(_SECTIONS[name]), number, None, outline.path, title)
                continue
            if name in _PARAGRAPHS:
                strength = PARAGRAPH
                if name == "IP" and arguments:
                    words = arguments[0]
                elif name == "It":
                    words = _mdoc(arguments)
                else:
                    continue
            elif name in _FONTS:
                words = ("" if name in _JOINED else " ").join(arguments)
            elif name in _WORDS:
                words = _mdoc([name, *arguments])
            else:
                continue
        if words.strip():
            yield Block(f"{words.rstrip()}\n", strength, number, None, outline.path, title)
            strength = LINE
        else:
            strength = PARAGRAPH


def _plain(text: str) -> str:
    return _ESCAPE.sub(_character, text).rstrip("\n")


def _character(escape: re.Match[str]) -> str:
    name = escape["two"] or escape["name"]
    if name:
        if name.startswith("u") and len(name) >= 5 and set(name[1:5]) <= set("0123456789ABCDEFabcdef"):
            return chr(int(name[1:5], 16))
        if name not in _SPECIAL and len(name) == 2 and name[0] in _ACCENTED:
            return unicodedata.normalize("NFC", name[1] + _ACCENTED[name[0]])
        return _SPECIAL.get(name, "")
    return _ONE.get(escape["one"] or "", "")


def _mdoc(words: list[str]) -> str:
    out = []
    dash = ""
    for word in words:
        if word == "Fl":
            dash = "-"
        elif word in _SILENT or word in _WORDS:
            continue
        else:
            out.append(dash + word)
            dash = ""
    return " ".join([*out, dash] if dash else out)
