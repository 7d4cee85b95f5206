"""What can be said: for every exposed entity, to turn it on or off, in seven languages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latelite import Collection
from latelite.models import ColBERT

TEMPLATES = {
    "de": ("Schalte {} ein", "Schalte {} aus"),
    "en": ("Turn on {}", "Turn off {}"),
    "es": ("Enciende {}", "Apaga {}"),
    "fr": ("Allume {}", "Éteins {}"),
    "it": ("Accendi {}", "Spegni {}"),
    "nl": ("Zet {} aan", "Zet {} uit"),
    "pt": ("Liga {}", "Desliga {}"),
}
"""Language -> how to turn something on, and off. Names of entities stay as they are: the model reads all languages."""
SERVICES = ("turn_on", "turn_off")


@dataclass(frozen=True)
class Meaning:
    """What an utterance was understood as."""

    entity_id: str
    name: str
    service: str
    """One of `SERVICES`."""
    score: float
    """At most 1.3, see `latelite.results.Hit`."""

    def sentence(self, language: str) -> str:
        """The meaning in words, in English where the language is none of the seven."""
        templates = TEMPLATES.get(language.split("-")[0], TEMPLATES["en"])
        return templates[SERVICES.index(self.service)].format(self.name)


class Sentences:
    """A collection of the sentences; blocking, so call it from Home Assistant's executor."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self._collection = Collection(folder, ColBERT(bundle, threads=1))

    def update(self, entities: dict[str, str]) -> None:
        """Make the collection one of these entities (id -> name); what is there already is not encoded again."""
        wanted = {
            f"{entity_id} {service} {language}": (
                templates[number].format(name),
                {"entity_id": entity_id, "name": name, "service": service},
            )
            for entity_id, name in entities.items()
            for language, templates in TEMPLATES.items()
            for number, service in enumerate(SERVICES)
        }
        stored = {document.id: document.text for document in self._collection}
        self._collection.remove([id_ for id_ in stored if id_ not in wanted])
        new = [id_ for id_, (text, _) in wanted.items() if stored.get(id_) != text]
        self._collection.add(
            new, [wanted[id_][0] for id_ in new], [wanted[id_][1] for id_ in new], show_progress_bar=False
        )

    def understand(self, utterance: str, min_score: float) -> Meaning | None:
        """What comes nearest to an utterance; None when nothing comes near."""
        found = self._collection.search(utterance, 1, min_score=min_score)
        return Meaning(**found[0].metadata, score=found[0].score) if found else None

    def entities(self, utterance: str, limit: int) -> list[Meaning]:
        """The entities that come nearest, each once."""
        found = self._collection.search(utterance, limit, group_by="entity_id")
        return [Meaning(**hit.metadata, score=hit.score) for hit in found]

    def close(self) -> None:
        """Let go of the collection's files."""
        self._collection.close()
