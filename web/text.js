/** Texts as the API counts them: in code points, of which an emoji is one and UTF-16 has two halves. */

/** The text without what no API takes: halves of such pairs, which a cut or a copy leaves behind, and NUL. */
export const wellFormed = (text) => text.replace(/[\p{Surrogate}\0]/gu, "");

export const characters = (text) => [...text].length;

/** The first so many code points; no pair is cut in two. */
export const cut = (text, most) => [...text.slice(0, 2 * most)].slice(0, most).join("");
