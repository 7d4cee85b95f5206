"""The phases of training, with everything that they draw from."""

from recipe.pins import LANGUAGES

from distill.batches import Mix
from distill.losses import Weights
from distill.training import Phase

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
            "definitions": 3.0,
            "packages": 2.5,
            "manuals": 2.0,
            "segments": 2.0,
            "office": 1.5,
            "stories": 1.0,
            "handbooks": 0.7,
            "applications": 0.7,
            "desktop": 0.7,
            "squad": 0.5,
            "skies": 0.3,
        },
        languages={**dict.fromkeys(LANGUAGES, 1.0), "en": 6.0},
        foreign=0.8,
    ),
    weights=Weights(ranking=0.5, pairs=1.0, tokens=2.0),
    steps=700,
    rate=2e-4,
    warmup=30,
    decay=670,
    longest=112,
    seed=2,
    measure=0,
)
"""Questions in one language about texts in another, English ones above all: the last weakness."""

ALL = (MULTILINGUAL, ENGLISH, CROSSING)
