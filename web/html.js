/** Markup from templates: every value is escaped, unless it is markup itself. */

const ESCAPED = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

class Markup {
  constructor(text) {
    this.text = text;
  }
}

/** Markup; null, undefined and false are nothing, arrays are joined. Attribute values stand in quotes. */
export function html(strings, ...values) {
  return new Markup(String.raw({ raw: strings }, ...values.map(shown)));
}

/** Guarantees that the target holds the markup and nothing else. */
export function render(target, markup) {
  target.replaceChildren(fragment(markup));
}

/** The markup's first element. */
export function element(markup) {
  return fragment(markup).firstElementChild;
}

/** The URL if a page may open it, else "#": nothing from outside runs as a script. */
export function safeUrl(url) {
  try {
    const { protocol, href } = new URL(url, document.baseURI);
    return protocol === "https:" || protocol === "http:" ? href : "#";
  } catch {
    return "#";
  }
}

function shown(value) {
  if (value instanceof Markup) return value.text;
  if (Array.isArray(value)) return value.map(shown).join("");
  if (value === null || value === undefined || value === false) return "";
  return String(value).replace(/[&<>"']/g, (character) => ESCAPED[character]);
}

// The one place where text becomes elements; the page's policy allows no other.
const trusted = globalThis.trustedTypes?.createPolicy("page", { createHTML: (text) => text });

function fragment(markup) {
  if (!(markup instanceof Markup)) throw new TypeError("only html`` is rendered");
  const template = document.createElement("template");
  template.innerHTML = trusted ? trusted.createHTML(markup.text) : markup.text;
  return template.content;
}
