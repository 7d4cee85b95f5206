// What the page says, in the languages of the default model.

const MESSAGES = {
  en: {
    skip: "Skip to the results", question: "Question", placeholder: "Ask in your own words", mode: "How to search",
    hybrid: "Meaning and words", semantic: "Meaning", lexical: "Words", results: "Results", filters: "Filter", clear: "Remove all filters",
    more: "More results", keyQuestion: "question", keyHits: "results", keyOpen: "open", keyClose: "close", token: "This server asks for a token", send: "Send",
    hits: ["{n} result", "{n} results"], time: "{n} ms", documents: ["{n} document", "{n} documents"], score: "Score {n}", words: "Words of your question",
    none: "Nothing found. Try other words, or another way to search.", start: "Ask a question in any language; the answers may be written in another one.",
    loading: "The model is being loaded …", away: "The server does not answer. Trying again …", busy: "The server is busy. Trying again …", failed: "That did not work: {text}",
    theme: "Light or dark", collection: "Collection", passage: "The passage that was found", previous: "Previous result", next: "Next result", close: "Close",
  },
  de: {
    skip: "Zu den Ergebnissen", question: "Frage", placeholder: "In eigenen Worten fragen", mode: "Art der Suche",
    hybrid: "Sinn und Wörter", semantic: "Sinn", lexical: "Wörter", results: "Ergebnisse", filters: "Filter", clear: "Alle Filter entfernen",
    more: "Weitere Ergebnisse", keyQuestion: "Frage", keyHits: "Ergebnisse", keyOpen: "öffnen", keyClose: "schließen", token: "Dieser Server verlangt ein Token", send: "Senden",
    hits: ["{n} Ergebnis", "{n} Ergebnisse"], time: "{n} ms", documents: ["{n} Dokument", "{n} Dokumente"], score: "Bewertung {n}", words: "Wörter Ihrer Frage",
    none: "Nichts gefunden. Versuchen Sie andere Wörter oder eine andere Art der Suche.", start: "Fragen Sie in einer beliebigen Sprache; die Antworten können in einer anderen stehen.",
    loading: "Das Modell wird geladen …", away: "Der Server antwortet nicht. Neuer Versuch …", busy: "Der Server ist ausgelastet. Neuer Versuch …", failed: "Das ging nicht: {text}",
    theme: "Hell oder dunkel", collection: "Sammlung", passage: "Die gefundene Stelle", previous: "Voriges Ergebnis", next: "Nächstes Ergebnis", close: "Schließen",
  },
  es: {
    skip: "Ir a los resultados", question: "Pregunta", placeholder: "Pregunte con sus palabras", mode: "Modo de búsqueda",
    hybrid: "Sentido y palabras", semantic: "Sentido", lexical: "Palabras", results: "Resultados", filters: "Filtrar", clear: "Quitar todos los filtros",
    more: "Más resultados", keyQuestion: "pregunta", keyHits: "resultados", keyOpen: "abrir", keyClose: "cerrar", token: "Este servidor pide un token", send: "Enviar",
    hits: ["{n} resultado", "{n} resultados"], time: "{n} ms", documents: ["{n} documento", "{n} documentos"], score: "Puntuación {n}", words: "Palabras de su pregunta",
    none: "No se ha encontrado nada. Pruebe otras palabras u otro modo de búsqueda.", start: "Pregunte en cualquier idioma; las respuestas pueden estar en otro.",
    loading: "Cargando el modelo …", away: "El servidor no responde. Nuevo intento …", busy: "El servidor está ocupado. Nuevo intento …", failed: "No ha funcionado: {text}",
    theme: "Claro u oscuro", collection: "Colección", passage: "El pasaje encontrado", previous: "Resultado anterior", next: "Resultado siguiente", close: "Cerrar",
  },
  fr: {
    skip: "Aller aux résultats", question: "Question", placeholder: "Posez votre question", mode: "Mode de recherche",
    hybrid: "Sens et mots", semantic: "Sens", lexical: "Mots", results: "Résultats", filters: "Filtrer", clear: "Retirer tous les filtres",
    more: "Plus de résultats", keyQuestion: "question", keyHits: "résultats", keyOpen: "ouvrir", keyClose: "fermer", token: "Ce serveur demande un jeton", send: "Envoyer",
    hits: ["{n} résultat", "{n} résultats"], time: "{n} ms", documents: ["{n} document", "{n} documents"], score: "Score {n}", words: "Mots de votre question",
    none: "Rien n’a été trouvé. Essayez d’autres mots ou un autre mode de recherche.", start: "Posez votre question dans n’importe quelle langue ; les réponses peuvent être dans une autre.",
    loading: "Chargement du modèle …", away: "Le serveur ne répond pas. Nouvel essai …", busy: "Le serveur est occupé. Nouvel essai …", failed: "Cela n’a pas fonctionné : {text}",
    theme: "Clair ou sombre", collection: "Collection", passage: "Le passage trouvé", previous: "Résultat précédent", next: "Résultat suivant", close: "Fermer",
  },
  it: {
    skip: "Vai ai risultati", question: "Domanda", placeholder: "Chieda con parole sue", mode: "Modo di ricerca",
    hybrid: "Senso e parole", semantic: "Senso", lexical: "Parole", results: "Risultati", filters: "Filtra", clear: "Togli tutti i filtri",
    more: "Altri risultati", keyQuestion: "domanda", keyHits: "risultati", keyOpen: "apri", keyClose: "chiudi", token: "Questo server chiede un token", send: "Invia",
    hits: ["{n} risultato", "{n} risultati"], time: "{n} ms", documents: ["{n} documento", "{n} documenti"], score: "Punteggio {n}", words: "Parole della domanda",
    none: "Non è stato trovato nulla. Provi con altre parole o un altro modo di ricerca.", start: "Chieda in qualsiasi lingua; le risposte possono essere in un’altra.",
    loading: "Caricamento del modello …", away: "Il server non risponde. Nuovo tentativo …", busy: "Il server è occupato. Nuovo tentativo …", failed: "Non ha funzionato: {text}",
    theme: "Chiaro o scuro", collection: "Raccolta", passage: "Il passaggio trovato", previous: "Risultato precedente", next: "Risultato successivo", close: "Chiudi",
  },
  nl: {
    skip: "Naar de resultaten", question: "Vraag", placeholder: "Vraag het in eigen woorden", mode: "Manier van zoeken",
    hybrid: "Betekenis en woorden", semantic: "Betekenis", lexical: "Woorden", results: "Resultaten", filters: "Filteren", clear: "Alle filters verwijderen",
    more: "Meer resultaten", keyQuestion: "vraag", keyHits: "resultaten", keyOpen: "openen", keyClose: "sluiten", token: "Deze server vraagt om een token", send: "Versturen",
    hits: ["{n} resultaat", "{n} resultaten"], time: "{n} ms", documents: ["{n} document", "{n} documenten"], score: "Score {n}", words: "Woorden van uw vraag",
    none: "Niets gevonden. Probeer andere woorden of een andere manier van zoeken.", start: "Vraag in een willekeurige taal; de antwoorden kunnen in een andere staan.",
    loading: "Het model wordt geladen …", away: "De server antwoordt niet. Nieuwe poging …", busy: "De server is bezet. Nieuwe poging …", failed: "Dat lukte niet: {text}",
    theme: "Licht of donker", collection: "Verzameling", passage: "De gevonden passage", previous: "Vorig resultaat", next: "Volgend resultaat", close: "Sluiten",
  },
  pt: {
    skip: "Ir para os resultados", question: "Pergunta", placeholder: "Pergunte com as suas palavras", mode: "Modo de pesquisa",
    hybrid: "Sentido e palavras", semantic: "Sentido", lexical: "Palavras", results: "Resultados", filters: "Filtrar", clear: "Remover todos os filtros",
    more: "Mais resultados", keyQuestion: "pergunta", keyHits: "resultados", keyOpen: "abrir", keyClose: "fechar", token: "Este servidor pede um token", send: "Enviar",
    hits: ["{n} resultado", "{n} resultados"], time: "{n} ms", documents: ["{n} documento", "{n} documentos"], score: "Pontuação {n}", words: "Palavras da sua pergunta",
    none: "Nada encontrado. Tente outras palavras ou outro modo de pesquisa.", start: "Pergunte em qualquer língua; as respostas podem estar noutra.",
    loading: "A carregar o modelo …", away: "O servidor não responde. Nova tentativa …", busy: "O servidor está ocupado. Nova tentativa …", failed: "Não funcionou: {text}",
    theme: "Claro ou escuro", collection: "Coleção", passage: "O excerto encontrado", previous: "Resultado anterior", next: "Resultado seguinte", close: "Fechar",
  },
};

/** The first of the reader's languages that the page speaks. */
export const language = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((code) => code in MESSAGES) ?? "en";

const plural = new Intl.PluralRules(language);

/** A message in the reader's language; `n` chooses between one and several. */
export function message(name, values = {}) {
  const found = MESSAGES[language][name];
  const text = Array.isArray(found) ? found[plural.select(values.count ?? 2) === "one" ? 0 : 1] : found;
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** A message that counts something. */
export const counted = (name, count) => message(name, { n: number(count), count });

/** A number as the reader writes it. */
export const number = (value, digits = 0) => value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** Put the messages into the page's elements. */
export function translate() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = message(node.dataset.text);
}
