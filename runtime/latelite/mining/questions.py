"""Synthetic questions for passages with few or none, from titles and from spans of their text.

They need not be grammatical. They show the model short queries, question words and every part of a text, in each
language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

TITLES = {
    "de": ("Wie geht das: {}?", "Was ist {}?", "Wo finde ich {}?", "Wie kann ich {}?", "Welche Funktion hat {}?"),
    "en": ("How do I do this: {}?", "What is {}?", "Where do I find {}?", "How can I {}?", "What does {} do?"),
    "es": ("¿Cómo se hace: {}?", "¿Qué es {}?", "¿Dónde encuentro {}?", "¿Cómo puedo {}?", "¿Para qué sirve {}?"),
    "fr": ("Comment faire : {} ?", "Qu'est-ce que {} ?", "Où trouver {} ?", "Comment puis-je {} ?", "À quoi sert {} ?"),
    "it": ("Come si fa: {}?", "Che cos'è {}?", "Dove trovo {}?", "Come posso {}?", "A cosa serve {}?"),
    "nl": ("Hoe doe ik dit: {}?", "Wat is {}?", "Waar vind ik {}?", "Hoe kan ik {}?", "Waarvoor dient {}?"),
    "pt": ("Como se faz: {}?", "O que é {}?", "Onde encontro {}?", "Como posso {}?", "Para que serve {}?"),
}
SPANS = {
    "de": ("{}", "Wann {}?", "Wer {}?", "Wie viele {}?", "Welche {}?", "Warum {}?", "Was {}?"),
    "en": ("{}", "When {}?", "Who {}?", "How many {}?", "Which {}?", "Why {}?", "What {}?"),
    "es": ("{}", "¿Cuándo {}?", "¿Quién {}?", "¿Cuántos {}?", "¿Cuál {}?", "¿Por qué {}?", "¿Qué {}?"),
    "fr": ("{}", "Quand {} ?", "Qui {} ?", "Combien {} ?", "Quel {} ?", "Pourquoi {} ?", "Que {} ?"),
    "it": ("{}", "Quando {}?", "Chi {}?", "Quanti {}?", "Quale {}?", "Perché {}?", "Che cosa {}?"),
    "nl": ("{}", "Wanneer {}?", "Wie {}?", "Hoeveel {}?", "Welke {}?", "Waarom {}?", "Wat {}?"),
    "pt": ("{}", "Quando {}?", "Quem {}?", "Quantos {}?", "Qual {}?", "Por que {}?", "O que {}?"),
}
SPAN = (3, 9)
"""Minimum and maximum words of a span; with a question word, still fewer than the run that counts as a leak."""
KEYWORDS = (2, 5)
"""Minimum and maximum words of a keyword query."""
CONTENT = 5
"""Minimum letters of a keyword."""
INSIDE = re.compile(r"[.!?:;()\[\]\"„“”«»]")
WORD = re.compile(r"[^\W\d_]+")


def of_title(draw: np.random.Generator, language: str, title: str) -> str:
    """A question about the subject of a title."""
    return _pick(draw, TITLES[language]).format(title.rstrip(".?!"))


def of_span(draw: np.random.Generator, language: str, text: str) -> str | None:
    """A question with some consecutive words of the text; ``None`` if no clause is long enough.

    In a language without templates, the words alone.
    """
    clauses = [words for clause in INSIDE.split(text) if len(words := clause.split()) >= SPAN[0]]
    if not clauses:
        return None
    words = clauses[int(draw.integers(len(clauses)))]
    length = min(len(words), int(draw.integers(SPAN[0], SPAN[1] + 1)))
    start = int(draw.integers(len(words) - length + 1))
    return _pick(draw, SPANS.get(language, ("{}",))).format(" ".join(words[start : start + length]))


def keywords(draw: np.random.Generator, text: str) -> str | None:
    """Some long words of a sentence in random order; ``None`` if it has too few."""
    sentences = INSIDE.split(text)
    found = [word for word in WORD.findall(sentences[int(draw.integers(len(sentences)))]) if len(word) >= CONTENT]
    if len(found) < KEYWORDS[0]:
        return None
    count = min(len(found), int(draw.integers(KEYWORDS[0], KEYWORDS[1] + 1)))
    return " ".join(found[at] for at in draw.permutation(len(found))[:count])


def ask(draw: np.random.Generator, language: str, text: str, queries: Sequence[str]) -> str:
    """A query that the text answers: a given one, its title as a question, a span, or keywords."""
    kind = draw.random()
    given = queries[int(draw.integers(len(queries)))] if queries else None
    if given and kind < 0.45:
        return given
    if given and kind < 0.6 and not given.rstrip().endswith("?"):
        return of_title(draw, language, given)
    found = keywords(draw, text) if kind > 0.88 else of_span(draw, language, text)
    return found or given or " ".join(text.split()[: SPAN[1]])


def _pick(draw: np.random.Generator, forms: Sequence[str]) -> str:
    return forms[int(draw.integers(len(forms)))]
