"""Texts in seven languages, and with all that tokenizers stumble over."""

from __future__ import annotations

import re

from reference.texts import CORPUS, TEXTS

ODD = (
    "\ufeffa byte order mark, and a space ",
    "\x1cfile separator\x1f",
    "\x85next line\x85 in\x85side",
    "İstanbul ĞÜŞ ΣΊΣΥΦΟΣ ΣΑΣ. ΌΣΟΣ",
    "Straße GROẞ ﬁ ﬂ ǰ ŉ ΐ ᾳ ᾼ ᾈ ﬃ a\u0345",
    "e\u0301te\u0301 in NFD, u\u0308ber",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 family \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea",
    "\ud83d a lone surrogate",
    "ＦＵＬＬ　ｗｉｄｔｈ ㎏ ① Ⅷ ½",
    "[Q] markers [D] <s> </s> <mask> [CLS] [SEP] [MASK] [UNK] <unk>",
    "x" * 300,
    " ",
    " \n\t ",
    "",
    "a  b   c\u2028line\u2029paragraph",
    "¿Qué? ¡Hola! don't can't it's",
    "日本語のテキスト 中文 한국어 مرحبا بالعالم Привет МИР ไทย",
    "zero\u200bwidth soft\u00adhyphen null\x00byte",
    "‘quotes’ “double” – — … 1,234.56 € 12% #tag @user http://a.b/c?d=e&f=g",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙 ȺȾ ᏣᎳᎩ ꭰꭱ Dž DŽ dž İ ı I\u0307",
)

SENTENCES = {
    language: [sentence for sentence in re.split(r"(?<=[.!?]) ", text) if len(sentence) > 20]
    for language, text in CORPUS.items()
}
"""Language -> sentences of the small corpus."""

ALL = (*TEXTS.values(), *ODD, *(sentence for sentences in SENTENCES.values() for sentence in sentences))
