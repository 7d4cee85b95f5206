"""Definitions ("X is a ..."), and the questions that they answer."""

from __future__ import annotations

import re

_FORMS = {  # articles before, capital letters, verbs, articles after, question
    "de": ("Der |Die |Das |Eine? ", "A-ZÄÖÜ", "ist|sind", "eine? |der |die |das ", "Was ist {}?"),
    "en": ("The |An? ", "A-Z", "is|are|refers to", "an? |the |one ", "What is {}?"),
    "es": ("El |La |Los |Las |Una? ", "A-ZÁÉÍÓÚÑ", "es|son", "una? |el |la |los |las ", "¿Qué es {}?"),
    "fr": ("Les? |La |L'|L’|Une? ", "A-ZÀÂÇÉÈ", "est|sont", "une? |les? |la |l'|l’|des ", "Qu'est-ce que {} ?"),
    "it": ("Il? |L[aeo] |Gli |L'|L’|Un[ao]? ", "A-ZÀÈÉ", "è|sono", "un[ao]? |un'|il? |l[aeo] |gli ", "Che cos'è {}?"),
    "nl": ("De |Het |Een ", "A-Z", "is|zijn", "een |de |het ", "Wat is {}?"),
    "pt": ("Os? |As? |Uma? ", "A-ZÁÂÉÍÓÚ", "é|são", "uma? |os? |as? ", "O que é {}?"),
}  # fmt: skip
_DEFINITIONS = {
    language: re.compile(rf"(?:{before}|(?=[{capitals}]))(?P<what>\w[^.,;:()]{{2,60}}?) (?:{verbs}) (?:{after})")
    for language, (before, capitals, verbs, after, _) in _FORMS.items()
}
_WORDS = 6
"""Maximum words of the defined term; anything longer is a clause."""


def what_is(language: str, sentence: str) -> str | None:
    """The question that a defining sentence answers; None if it defines nothing."""
    match = _DEFINITIONS[language].match(sentence)
    if match is None or len(match["what"].split()) > _WORDS:
        return None
    return _FORMS[language][-1].format(match["what"].strip())
