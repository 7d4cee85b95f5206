"""The texts that the golden vectors are made of: a small corpus in seven languages, and awkward inputs.

`CORPUS` is also what the vocabularies of the tiny checkpoints are counted from. `TEXTS` is encoded both as queries and
as documents. Changing either changes the goldens: run `make_goldens.py` again.
"""

from __future__ import annotations

CORPUS: dict[str, str] = {
    "de": (
        "Am frühen Morgen öffnet die Bäckerin ihren Laden und schiebt die ersten Brötchen in den großen Ofen. Der "
        "Schnee auf den Straßen schmilzt langsam, und vor der Tür warten schon drei Nachbarn. Wie lange dauert es "
        "noch? Fünf Minuten, ruft sie, höchstens! Drinnen duftet es nach Äpfeln, Zimt und frischem Kaffee. Ein "
        "Kind zählt die Münzen in seiner Hand und überlegt, ob das Geld für ein Stück Kuchen reicht. Die "
        "Großmutter schreibt einen Brief an ihre Schwester, die seit zwölf Jahren in einem kleinen Dorf am Meer "
        "wohnt. Wenn der Zug pünktlich ist, kommt die Antwort schon nächsten Dienstag an. Bis dahin bleibt viel "
        "Zeit, um den Garten umzugraben, die Fenster zu putzen und das alte Fahrrad zu reparieren."
    ),
    "en": (
        "The lighthouse keeper climbs the stairs every evening, counts the steps, and never gets the same number "
        "twice. Below him the harbour is quiet; only a fishing boat with a broken engine comes home late. How do "
        "you repair an engine in the dark? You hold the lamp between your teeth, his father used to say, and you "
        "listen. In the morning the children bring him bread, butter and yesterday's newspaper. He reads the "
        "weather report first, because the weather is the only news that matters here. When the storm arrives, "
        "the windows shake and the radio stops working, but the light keeps turning. Ships far away see it, "
        "change their course, and sail on without ever learning his name."
    ),
    "es": (
        "La niña corrió hasta el río con una cesta llena de naranjas y un cuaderno vacío. Allí, sentada bajo el "
        "árbol más viejo del pueblo, escribió la historia de un pingüino que quería volar. ¿Por qué no puede "
        "volar un pingüino? Porque nadie le enseñó, pensó ella. ¡Mañana lo intentaremos! El señor de la tienda le "
        "había regalado tres lápices de colores y un mapa de los caminos antiguos. Según el mapa, detrás de la "
        "montaña había una ciudad con jardines, música y una biblioteca pública. Su abuelo, que conocía todos los "
        "cuentos, le explicó después cómo se cruza un puente cuando sopla el viento del otoño."
    ),
    "fr": (
        "Le vieux musicien répète chaque après-midi la même mélodie près de la fenêtre ouverte. Les élèves de "
        "l'école s'arrêtent, écoutent un instant, puis repartent en courant vers la forêt. Où est passé le garçon "
        "qui jouait de la flûte ? Il a déménagé l'été dernier, répond sa sœur, à cause du travail de leur mère. "
        "Dans la cuisine, une tarte aux pommes refroidit à côté d'un bouquet de fleurs séchées. Ça sent le "
        "beurre, le sucre brûlé et un peu le tabac. Le soir, quand la pluie commence, il range son violon, ferme "
        "les volets et relit les lettres qu'il n'a jamais osé envoyer. Noël approche déjà."
    ),
    "it": (
        "Nella piazza del mercato il venditore di formaggi racconta a tutti la stessa storia: una volta, tanti "
        "anni fa, vendette una mozzarella a un re. Perché nessuno gli crede? Perché cambia ogni volta il nome del "
        "re, dice la moglie ridendo. Intanto il gatto dorme sopra le cassette di pomodori, e i turisti "
        "fotografano la fontana. Domani è festa, così le strade saranno piene di luci, bandiere e bambini. Chi "
        "vuole andare in città deve prendere l'autobus delle sette, perché quello delle otto non c'è più. La "
        "nonna prepara già la pasta, taglia le verdure e cerca gli occhiali che ha sulla testa."
    ),
    "nl": (
        "De tuinman kijkt iedere ochtend naar de lucht voordat hij zijn gereedschap pakt. Zal het vandaag "
        "regenen? Volgens de krant niet, maar zijn linkerknie zegt iets anders. Achter het huis groeien "
        "aardappelen, prei en een rij zonnebloemen die hoger zijn dan de schutting. De buurvrouw leent hem haar "
        "ladder, want de goten moeten nog worden schoongemaakt. 's Middags drinken ze samen thee en praten ze "
        "over vroeger, toen de rivier elke winter bevroren was en iedereen naar het volgende dorp kon schaatsen. "
        "Eén keer zijn ze daarbij door het ijs gezakt; sindsdien blijven ze liever aan de kant, waar de ijsjes "
        "verkocht worden. Geïnteresseerde kinderen luisteren altijd."
    ),
    "pt": (
        "O pescador acordou antes do sol, preparou o café e desceu à praia com a rede às costas. Não havia ondas, "
        "só um silêncio estranho e uma garça imóvel sobre as pedras. Quantos peixes cabem num barco tão pequeno? "
        "Depende da fome, respondia o irmão, que sempre teve opiniões sobre tudo. À tarde, as crianças da aldeia "
        "ajudavam a estender a roupa, a limpar o convés e a contar histórias de avós e tempestades. A estação de "
        "comboios fica a três quilómetros, mas ninguém tem pressa. No fim da semana chega o primo de Lisboa, traz "
        "pão, azeite e notícias, e a família inteira janta junta no quintal."
    ),
}

_WORDS = " ".join(CORPUS.values()).split()

TEXTS: dict[str, str] = {
    "empty": "",
    "whitespace": "  \t \n\u00a0\u3000 ",
    "one letter": "a",
    "punctuation": "?! ... , ; : - ( ) [ ] { } \" ' # & * @ / \\ _ ~ `",
    "markers": "[Q] inside a text, [D] too; [Q][D] and [q] again [unused0] [unused1]; [D]\ta tab; at the end [Q]",
    "special tokens": "The words [MASK] <mask> and [PAD] <pad> then [SEP] </s> [CLS] <s> [UNK] <unk> were typed in",
    "emoji": "The storm arrives 🌩️ and the boat 🚤🏴‍☠️ comes home 👩‍👩‍👧 late 🙂",
    "mixed case": "THE Lighthouse keePER climbs The STAIRS; STRASSE, GRÖSSE, İstanbul, ΟΔΟΣ and ẞ",
    "german": "Wie lange warten die Nachbarn noch auf frische Brötchen?",
    "english": "How do you repair an engine in the dark?",
    "spanish": "¿Quién le enseñó al pingüino cómo se vuela en otoño?",
    "french": "Où le garçon a-t-il joué de la flûte, à Noël ou l'été dernier ?",
    "italian": "Perché in città non c'è più l'autobus delle otto?",
    "dutch": "Geïnteresseerde kinderen luisteren naar de buurvrouw, vóór de thee.",
    "portuguese": "Há quantos quilómetros da praia fica a estação de comboios?",
    "decomposed accents": "cafe\u0301 fru\u0308hen sen\u0303or \u00e9te\u0301 ﬁn ½ ² Å",
    "newlines and tabs": (
        "\n\tfirst line\r\nsecond\tline\n\n\n   third   line\u2028fourth\u200bline \ufefffifth\x00\x07 line\n"
    ),
    "numbers": "3.14159, 1,000,000 or 10^6; 2024-02-29 at 07:05, +49 30 123456, 0x1F, v1.2.3-rc4, 50%",
    "long word": "Donaudampfschifffahrtsgesellschaftskapitän " + "ab" * 120 + " end",
    "other scripts": "東京の天気 Москва привет αβγ שלום مرحبا ไทย",
    "at the limit": " ".join(["the light keeps turning"] * 8),
    "700 words": " ".join(_WORDS[:700]),
}
