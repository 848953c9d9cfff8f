/** What differs between two texts, word by word. */

/** So many words of each are compared; longer texts are told as wholly different. */
const MAX_WORDS = 3_000;

/** Parts {kind, text} in order: "same", "removed" (in before alone), "added" (in after alone). */
export function wordDiff(before, after) {
  const [a, b] = [before.match(/\s+|[^\s]+/g) ?? [], after.match(/\s+|[^\s]+/g) ?? []];
  if (before === after) return before ? [{ kind: "same", text: before }] : [];
  if (a.length > MAX_WORDS || b.length > MAX_WORDS) return joined([["removed", before], ["added", after]]);
  return joined(backtrack(lengths(a, b), a, b));
}

/** The length of the longest common subsequence of each pair of tails. */
function lengths(a, b) {
  const table = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      table[i][j] = a[i] === b[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    }
  }
  return table;
}

function* backtrack(table, a, b) {
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) yield ["same", (j++, a[i++])];
    else if (table[i + 1][j] >= table[i][j + 1]) yield ["removed", a[i++]];
    else yield ["added", b[j++]];
  }
  while (i < a.length) yield ["removed", a[i++]];
  while (j < b.length) yield ["added", b[j++]];
}

function joined(pairs) {
  const parts = [];
  for (const [kind, text] of pairs) {
    if (parts.at(-1)?.kind === kind) parts.at(-1).text += text;
    else if (text) parts.push({ kind, text });
  }
  return parts;
}
