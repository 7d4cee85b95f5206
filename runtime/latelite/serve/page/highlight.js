// Marks in a text: which words of the question matched where, and how strongly.

/** A function from offsets that count code points to offsets that count UTF-16 units, as JavaScript's strings do. */
export function unitsOf(text) {
  if (!/[\ud800-\udbff][\udc00-\udfff]/.test(text)) return (offset) => offset;
  const units = [0];
  for (const point of text) units.push(units.at(-1) + point.length);
  return (offset) => units[Math.min(offset, units.length - 1)];
}

/** Matches with `start` and `end` in UTF-16 units, in the order of the text; those that lie outside are left out. */
export function placed(text, matches) {
  const unit = unitsOf(text);
  return matches
    .map((match) => ({ ...match, start: unit(match.start), end: unit(match.end) }))
    .filter((match) => match.start < match.end && match.end <= text.length)
    .sort((a, b) => a.start - b.start || a.end - b.end);
}

/** The part of a text with the most to show: `[start, end]` of at most about `size` units, on word boundaries. */
export function excerptOf(text, matches, size) {
  if (text.length <= size * 1.3) return [0, text.length];
  let best = 0;
  let most = -1;
  for (const first of matches) {
    const inside = matches.filter((match) => match.start >= first.start && match.end <= first.start + size * 0.8);
    const strength = inside.reduce((sum, match) => sum + match.score ** 2, 0);
    if (strength > most) [best, most] = [first.start, strength];
  }
  let start = Math.max(0, best - Math.round(size * 0.15));
  if (start > 0) {
    const space = text.slice(start, best).search(/\s/);
    start = space < 0 ? best : start + space + 1;
  }
  let end = Math.min(text.length, start + size);
  if (end < text.length) {
    const space = text.slice(start, end).search(/\s\S*$/);
    if (space > size / 2) end = start + space;
  }
  return [start, end];
}

/** Pieces of `text` from `start` to `end`: `{text, matches}`, where `matches` are all that cover the piece. */
export function pieces(text, matches, start = 0, end = text.length) {
  const inside = matches.filter((match) => match.end > start && match.start < end);
  const cuts = new Set([start, end]);
  for (const match of inside) {
    cuts.add(Math.max(start, match.start));
    cuts.add(Math.min(end, match.end));
  }
  const places = [...cuts].sort((a, b) => a - b);
  return places.slice(1).map((to, number) => {
    const from = places[number];
    return { text: text.slice(from, to), matches: inside.filter((match) => match.start <= from && match.end >= to) };
  });
}

/** 1 to 4, from a cosine. */
export const strengthOf = (score) => (score < 0.45 ? 1 : score < 0.6 ? 2 : score < 0.78 ? 3 : 4);

/** Words of the question that matched anything, in the question's order. */
export function wordsOf(question, hits) {
  const words = new Set(hits.flatMap((hit) => (hit.matches ?? []).map((match) => match.query)));
  const place = (word) => question.toLowerCase().indexOf(word.toLowerCase());
  return [...words].sort((a, b) => place(a) - place(b));
}

/** Text with marks, appended to a node. Nothing in the text is ever taken for markup. */
export function appendMarked(node, text, matches, words, start, end) {
  for (const piece of pieces(text, matches, start, end)) {
    if (!piece.matches.length) {
      node.append(piece.text);
      continue;
    }
    const strongest = piece.matches.reduce((a, b) => (b.score > a.score ? b : a));
    const mark = document.createElement("mark");
    mark.textContent = piece.text;
    mark.className = `s${strengthOf(strongest.score)} w${words.indexOf(strongest.query) % 8}`;
    mark.dataset.words = JSON.stringify([...new Set(piece.matches.map((match) => match.query))]);
    mark.title = piece.matches.map((match) => `${match.query}  ${match.score.toFixed(2)}`).join("\n");
    node.append(mark);
  }
}

/** Show only the marks of one word of the question, or all of them when `word` is null. */
export function pick(word) {
  document.body.classList.toggle("picking", word !== null);
  for (const mark of document.querySelectorAll("mark")) {
    mark.classList.toggle("picked", word !== null && JSON.parse(mark.dataset.words).includes(word));
  }
}
