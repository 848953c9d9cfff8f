/** Any JSON as something to read: names and values, lists, paragraphs. */

import { html } from "./html.js";
import { cut } from "./text.js";

const DEEPEST = 8;
const MOST = 200;

/** The value as markup; what is too deep or too long is told as such, the raw text has all of it. */
export function readable(value, depth = 0) {
  if (value === null || value === undefined || value === "") return html`<span class="quiet">none</span>`;
  if (typeof value === "boolean") return html`${value ? "yes" : "no"}`;
  if (typeof value !== "object") return html`<span class="text" dir="auto">${value}</span>`;
  if (depth === DEEPEST) return html`<code>${cut(JSON.stringify(value), 300)}</code>`;
  const entries = Object.entries(value);
  if (!entries.length) return html`<span class="quiet">none</span>`;
  const shown = entries.slice(0, MOST);
  const more = entries.length > MOST && html`<p class="quiet">and ${entries.length - MOST} more, in the raw text</p>`;
  if (Array.isArray(value)) return html`<ul>${shown.map(([, one]) => html`<li>${readable(one, depth + 1)}</li>`)}</ul>${more}`;
  return html`<dl>${shown.map(([name, one]) => html`<div><dt dir="auto">${spoken(name)}</dt><dd>${readable(one, depth + 1)}</dd></div>`)}</dl>${more}`;
}

/** target_audience and targetAudience as "Target audience". */
function spoken(name) {
  const words = name.replace(/([a-z])([A-Z])/g, "$1 $2").replace(/[_-]+/g, " ").trim().toLowerCase();
  const [first, ...rest] = words;
  return words ? first.toUpperCase() + rest.join("") : name;
}
