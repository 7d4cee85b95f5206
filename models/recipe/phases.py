"""The three phases of training, and the mix of text that they draw from.

The first aligns the student's token vectors with the teacher's. The second trains on the teacher's ranking and on
translations at a constant learning rate, the third on the same while the rate falls to zero. The 16,000 steps take a
night on two cores.
"""

from dataclasses import replace

from recipe.batches import Mix
from recipe.losses import Weights
from recipe.training import Phase

MIX = Mix(
    general={
        "additives-wikipedia": 0.5,
        "african-storybook": 0.5,
        "bosque-news-pt": 1.0,
        "eltec-novels-de": 0.3,
        "eltec-novels-en": 0.3,
        "eltec-novels-es": 0.3,
        "eltec-novels-fr": 0.3,
        "eltec-novels-it": 0.3,
        "eltec-novels-pt": 0.3,
        "esco-descriptions": 0.5,
        "exams-wiki-hits": 1.5,
        "factbook-en": 0.8,
        "klexikon-dewiki": 2.5,
        "kstars-astroinfo": 0.5,
        "openquizzdb": 1.0,
        "openstax": 1.5,
        "parlspeech-samples": 0.5,
        "service-public-fr": 1.5,
        "stellarium-skycultures": 0.5,
        "ud-dutch": 1.0,
        "wetten-nl": 0.7,
        "wikinews-it": 0.8,
        "wivico-fr": 0.8,
        "wordnet-glosses": 0.5,
    },
    software={
        "office": 1.5,
        "packages": 1.0,
        "desktop": 0.3,
        "manuals": 0.6,
        "handbooks": 1.0,
        "applications": 1.0,
        "reference": 0.8,
        "docstrings": 1.2,
        "details": 0.6,
    },
    parallel={
        "0ad.parallel": 0.5,
        "cataclysm-dda.parallel": 0.5,
        "esco-occupations-text.parallel": 0.5,
        "freeciv.parallel": 0.5,
        "freecol-widelands.parallel": 0.5,
        "kstars-astroinfo.parallel": 0.5,
        "openquizzdb.parallel": 1.5,
        "qald-questions.parallel": 0.5,
        "sdg-goals.parallel": 0.2,
        "stellarium-skycultures.parallel": 0.3,
        "stsb-multi-mt.parallel": 1.5,
        "ud-pud.parallel": 1.0,
        "wesnoth.parallel": 1.0,
        "office.parallel": 0.7,
        "messages.parallel": 0.5,
    },
    kinds={"general": 0.45, "software": 0.22, "parallel": 0.33},
)

VECTORS = Phase(
    name="vectors",
    mix=replace(MIX, switched=0.0, foreign=0.1, kinds={"general": 0.6, "software": 0.3, "parallel": 0.1}),
    weights=Weights(ranking=1.0, pairs=0.3, tokens=3.0),
    steps=4_000,
    rate=4e-4,
    warmup=200,
    decay=1,
    measure=2_000,
)
"""The teacher's token vectors; queries and documents in the same language."""

RANKING = Phase(
    name="ranking", mix=MIX, weights=Weights(ranking=1.0, pairs=0.3), steps=8_000, rate=1.5e-4, warmup=100, decay=1,
    seed=1, measure=2_000,
)  # fmt: skip
"""The teacher's ranking and translations, at a constant learning rate."""

SETTLING = Phase(
    name="settling", mix=MIX, weights=Weights(ranking=1.0, pairs=0.3), steps=4_000, rate=1.5e-4, warmup=1,
    decay=4_000, longest=256, seed=2, measure=2_000,
)  # fmt: skip
"""The same with longer texts and a learning rate that falls to zero."""

ALL = (VECTORS, RANKING, SETTLING)
