// Which of some words is meant by letters that are nearly right. No part of a page: it runs under Node too.

/** Letters to be put in, taken out or changed to make one word of another. */
export function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      next.push(Math.min(row[j + 1] + 1, next[j] + 1, row[j] + (letter === other ? 0 : 1)));
    }
    row = next;
  }
  return row.at(-1);
}

/** The word nearest to these letters, the first of equals; undefined where half of its letters or more are others. */
export function nearest(letters, words) {
  let [best, least] = [undefined, Infinity];
  for (const word of words) {
    const away = distance(letters, word);
    if (away < least) [best, least] = [word, away];
  }
  return best !== undefined && 2 * least < best.length ? best : undefined;
}
