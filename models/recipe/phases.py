"""The phases of training, with everything that they draw from."""

from dataclasses import replace

from recipe.batches import Mix
from recipe.losses import Weights
from recipe.pins import LANGUAGES
from recipe.training import Phase

MULTILINGUAL = Phase(
    name="multilingual",
    mix=Mix(
        sources={
            "office": 2.0,
            "packages": 1.5,
            "handbooks": 1.5,
            "applications": 1.5,
            "stories": 1.5,
            "squad": 1.0,
            "sayings": 1.0,
            "manuals": 1.0,
            "segments": 0.7,
            "mixtures": 0.7,
            "abstracts": 0.7,
            "skies": 0.6,
            "desktop": 0.5,
            "definitions": 0.5,
            "computing": 0.3,
        },
        languages=dict.fromkeys(LANGUAGES, 1.0),
    ),
    weights=Weights(ranking=1.0, pairs=0.3, tokens=3.0),
    steps=2_800,
    rate=4e-4,
    warmup=200,
    decay=1,
    measure=1_600,
)
"""All seven languages alike, at a constant rate."""

ENGLISH = Phase(
    name="english",
    mix=Mix(
        sources={**MULTILINGUAL.mix.sources, "abstracts": 2.0, "definitions": 0.6},
        languages={**dict.fromkeys(LANGUAGES, 1.0), "en": 3.0},
    ),
    weights=Weights(ranking=1.0, pairs=0.5, tokens=2.0),
    steps=1_000,
    rate=4e-4,
    warmup=1,
    decay=1_000,
    longest=224,
    seed=1,
    measure=500,
)
"""More English, longer texts, the other languages kept in the mix; the rate falls to zero."""

CROSSING = Phase(
    name="crossing",
    mix=Mix(
        sources={
            "squad": 2.0,
            "glosses": 2.5,
            "vocabulary": 1.5,
            "packages": 1.2,
            "office": 1.2,
            "stories": 1.2,
            "abstracts": 1.2,
            "manuals": 1.0,
            "reference": 1.0,
            "segments": 0.8,
            "handbooks": 0.8,
            "applications": 0.8,
            "messages": 0.7,
            "sayings": 0.7,
            "desktop": 0.4,
            "skies": 0.4,
            "computing": 0.4,
        },
        languages={**dict.fromkeys(LANGUAGES, 1.0), "en": 4.0},
        foreign=0.6,
        switched_queries=0.6,
        switched_documents=0.3,
    ),
    weights=Weights(ranking=1.0, pairs=0.5, tokens=3.0),
    steps=3_000,
    rate=3e-4,
    warmup=100,
    decay=1,
    longest=128,
    seed=2,
    measure=0,
)
"""Texts in one language asked for in another, by translations and by words put in the place of others."""

ALIGNING = replace(
    CROSSING,
    name="aligning",
    mix=replace(
        CROSSING.mix,
        sources={**CROSSING.mix.sources, "reference": 1.5, "manuals": 1.3, "packages": 1.5},
        aligned=True,
    ),
    weights=Weights(ranking=1.0, pairs=0.7, tokens=3.0),
    steps=2_700,
    warmup=50,
    decay=2_650,
    seed=3,
)
"""The same with translations that parallel text aligns, too; the rate falls to zero."""

BROADENING = replace(
    ALIGNING,
    name="broadening",
    mix=replace(
        ALIGNING.mix,
        sources={
            **ALIGNING.mix.sources,
            "office": 2.5,
            "squad": 2.5,
            "glosses": 3.0,
            "docstrings": 2.0,
            "details": 2.5,
            "reference": 2.0,
            "messages": 1.2,
            "definitions": 0.6,
        },
        switched_documents=0.25,
    ),
    weights=Weights(ranking=1.0, pairs=0.8, tokens=3.0),
    longest=160,
    steps=1_550,
    warmup=100,
    decay=1,
    seed=4,
)
"""More of everything, a quarter of it about programs, at a constant rate."""

INFLECTING = replace(
    BROADENING,
    name="inflecting",
    mix=replace(BROADENING.mix, sources={**BROADENING.mix.sources, "docstrings": 2.5, "details": 3.0}, inflected=True),
    steps=3_000,
    warmup=50,
    decay=2_700,
    seed=5,
)
"""The same with translations in rare forms of their words, too; the rate falls to zero."""

ASKING = replace(
    INFLECTING,
    name="asking",
    mix=replace(INFLECTING.mix, switched_queries=0.9, query_words=(0.8, 1.0), switched_documents=0.1),
    weights=Weights(ranking=1.0, pairs=1.0, tokens=1.0),
    steps=900,
    rate=2e-4,
    warmup=30,
    decay=870,
    seed=6,
)
"""Whole questions in another language: nearly all words replaced, and the ranking counts more than the vectors."""

NAMING = replace(
    ASKING,
    name="naming",
    mix=replace(
        ASKING.mix,
        sources={**ASKING.mix.sources, "office": 4.0},
        switched_queries=0.8,
        query_words=(0.6, 1.0),
        switched_documents=0.2,
        anchored=True,
        siblings=4,
    ),
    weights=Weights(ranking=0.5, pairs=1.0, tokens=2.0),
    steps=3_000,
    rate=2.5e-4,
    warmup=50,
    decay=2_950,
    seed=7,
)
"""Words as single pieces, English alone as the target, documents that stand side by side; the rate falls to zero.

The teacher's ranking counts half: inside a language the student's is better by now.
"""

SHARPENING = replace(
    NAMING,
    name="sharpening",
    mix=replace(NAMING.mix, siblings=8),
    weights=Weights(ranking=0.3, pairs=1.0, tokens=2.0),
    steps=1_000,
    rate=2e-4,
    warmup=30,
    decay=970,
    seed=8,
)
"""The same with longer runs of documents and still less of the teacher's ranking."""

ALL = (MULTILINGUAL, ENGLISH, CROSSING, ALIGNING, BROADENING, INFLECTING, ASKING, NAMING, SHARPENING)
