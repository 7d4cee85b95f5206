"""The two phases of training, with everything that they draw from."""

from recipe.pins import LANGUAGES

from distill.batches import Mix
from distill.losses import Weights
from distill.training import Phase

MULTILINGUAL = Phase(
    name="multilingual",
    mix=Mix(
        sources={
            "office": 3.0,
            "packages": 2.5,
            "segments": 1.0,
            "squad": 1.0,
            "stories": 0.7,
            "manuals": 0.7,
            "desktop": 0.7,
            "abstracts": 0.7,
            "definitions": 0.3,
            "mixtures": 0.5,
        },
        languages=dict.fromkeys(LANGUAGES, 1.0),
    ),
    weights=Weights(ranking=1.0, pairs=0.3, tokens=3.0),
    steps=1_300,
    rate=3e-4,
    warmup=150,
    decay=1,
    measure=650,
)
"""All seven languages alike, at a constant rate."""

ENGLISH = Phase(
    name="english",
    mix=Mix(
        sources={**MULTILINGUAL.mix.sources, "abstracts": 2.0, "definitions": 0.6},
        languages={**dict.fromkeys(LANGUAGES, 1.0), "en": 3.0},
    ),
    weights=Weights(ranking=1.0, pairs=0.5, tokens=2.0),
    steps=500,
    rate=3e-4,
    warmup=1,
    decay=500,
    longest=224,
    seed=1,
    measure=250,
)
"""More English, longer texts, the other languages kept in the mix; the rate falls to zero."""
