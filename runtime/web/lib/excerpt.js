/** Excerpts of hits, as text with marks. */

const LENGTH = 300;

/**
 * The part of a hit's text where it matches best, as HTML in which only `<mark>` is markup.
 *
 * @param {{text: string, matches?: {start: number, end: number, score: number}[]}} hit of a search with `explain`
 * @param {{length?: number}} [options] length in characters
 * @returns {string}
 */
export function excerpt(hit, { length = LENGTH } = {}) {
  const { text } = hit;
  const matches = joined(hit.matches ?? []);
  let start = 0;
  if (text.length > length) {
    let most = -1;
    for (const match of matches) {
      const first = Math.max(0, Math.min(match.start - Math.floor(length / 6), text.length - length));
      const inside = matches.filter((each) => each.start >= first && each.end <= first + length);
      const weight = inside.reduce((sum, each) => sum + each.score, 0);
      if (weight > most) [most, start] = [weight, first];
    }
    start = start && wordStart(text, start);
  }
  const end = start + length >= text.length ? text.length : wordEnd(text, start + length);
  let html = start ? "… " : "";
  let place = start;
  for (const match of matches) {
    if (match.start < place || match.end > end) continue;
    html += `${escaped(text.slice(place, match.start))}<mark>${escaped(text.slice(match.start, match.end))}</mark>`;
    place = match.end;
  }
  return html + escaped(text.slice(place, end)) + (end < text.length ? " …" : "");
}

/** Matches in the order of the text, those that touch or overlap as one. */
function joined(matches) {
  const result = [];
  for (const match of [...matches].sort((a, b) => a.start - b.start || a.end - b.end)) {
    const last = result.at(-1);
    if (last && match.start <= last.end) {
      last.end = Math.max(last.end, match.end);
      last.score = Math.max(last.score, match.score);
    } else result.push({ ...match });
  }
  return result;
}

function wordStart(text, place) {
  const space = text.indexOf(" ", place);
  return space < 0 || space > place + 30 ? place : space + 1;
}

function wordEnd(text, place) {
  const space = text.lastIndexOf(" ", place);
  return space < place - 30 ? place : space;
}

function escaped(text) {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
