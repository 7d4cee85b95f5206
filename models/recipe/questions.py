"""Questions for pages that come with few or none: from their titles, and from spans of their own text.

The teacher is asked what it makes of them, so they need not be well-formed: what matters is that the student sees
short texts, question words and every part of a page on the query's side, in each language.
"""

from __future__ import annotations

import hashlib
import re

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
SPAN = (3, 10)
"""Fewest and most words of a span."""
INSIDE = re.compile(r"[.!?:;()\[\]\"„“”«»]")


def number(*parts: str) -> int:
    """A number that follows from the parts."""
    return int.from_bytes(hashlib.sha1("\0".join(parts).encode()).digest()[:6])


def of_title(language: str, title: str) -> str:
    """A question about what a title names."""
    forms = TITLES[language]
    return forms[number(language, title) % len(forms)].format(title.rstrip(".?!"))


def of_text(language: str, text: str) -> str | None:
    """A question that holds some consecutive words of the text; ``None`` where no clause is long enough."""
    clauses = [words for clause in INSIDE.split(text) if len(words := clause.split()) >= SPAN[0]]
    if not clauses:
        return None
    draw = number(language, text)
    words = clauses[draw % len(clauses)]
    length = min(len(words), SPAN[0] + draw // 7 % (SPAN[1] - SPAN[0] + 1))
    start = draw // 91 % (len(words) - length + 1)
    forms = SPANS[language]
    return forms[draw // 1_001 % len(forms)].format(" ".join(words[start : start + length]))
