/** The bar that finds: search, statuses, variant, days; all of it is in the address. */

import { html, render } from "./html.js";
import { statusWord } from "./format.js";
import { current, replace, several } from "./router.js";
import { characters, cut, wellFormed } from "./text.js";

export const STATUSES = ["processing", "completed", "failed", "pending"];
export const VARIANTS = ["soft", "medium", "aggressive", "ultra"];
const NAMES = ["q", "status", "variant", "from", "to"];
/** What the API takes, in code points. */
const MIN_CHARACTERS = 3;
const MAX_CHARACTERS = 500;
const TYPING_MS = 250;

/** What the API is asked for, from what the address says. */
export function asked(view) {
  const q = sought(view.q ?? "");
  return {
    q: characters(q) >= MIN_CHARACTERS ? cut(q, MAX_CHARACTERS) : null,
    status: several(view.status).filter((status) => STATUSES.includes(status)).join(",") || null,
    variant_type: VARIANTS.includes(view.variant) ? view.variant : null,
    created_from: startOf(view.from),
    created_to: endOf(view.to),
  };
}

export const isFiltered = (view) => Object.values(asked(view)).some((value) => value !== null);

/** Guarantees that the bar works in the place and says what the address says. */
export function findBar(place) {
  render(
    place,
    html`<form role="search" class="find">
      <input type="search" name="q" placeholder="Search by source video or id" aria-label="Search by source video or id" />
      <fieldset>
        <legend class="hidden">Status</legend>
        ${STATUSES.map((status) => html`<label class="chip"><input type="checkbox" name="status" value="${status}" />${statusWord(status)}</label>`)}
      </fieldset>
      <select name="variant" aria-label="Variant">
        <option value="">All variants</option>
        ${VARIANTS.map((variant) => html`<option>${variant}</option>`)}
      </select>
      <span class="dates">
        <label>From <input type="date" name="from" /></label>
        <label>to <input type="date" name="to" /></label>
      </span>
      <button type="button" class="quiet" data-clear>Clear</button>
      <p class="hint" role="status"></p>
    </form>`,
  );
  const form = place.firstElementChild;
  let timer = null;
  const found = () => replace(read(form));
  form.addEventListener("submit", (event) => (event.preventDefault(), clearTimeout(timer), found()));
  form.addEventListener("input", ({ target }) => {
    clearTimeout(timer);
    hint(form);
    timer = setTimeout(found, target.name === "q" ? TYPING_MS : 0);
  });
  form.querySelector("[data-clear]").addEventListener("click", clear);
  return { show: (view) => fill(form, view), focus: () => form.elements.q.focus() };
}

/** Nothing is looked for any more. */
export function clear() {
  const rest = Object.entries(current()).filter(([name]) => !NAMES.includes(name));
  replace(Object.fromEntries(rest));
}

const sought = (text) => wellFormed(text).trim();
/** What is typed as the address has it: no longer than the API takes, so that the address stays short enough, too. */
const typed = (form) => cut(wellFormed(form.elements.q.value), MAX_CHARACTERS);

function read(form) {
  const given = new FormData(form);
  const values = Object.fromEntries(NAMES.map((name) => [name, given.getAll(name).join(",")]));
  values.q = typed(form);
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value));
}

function fill(form, view) {
  const statuses = several(view.status);
  for (const box of form.elements.status) box.checked = statuses.includes(box.value);
  // What is being typed stays as it is, with the cursor in it; what back and forward lead to takes its place.
  if (typed(form) !== (view.q ?? "")) form.elements.q.value = view.q ?? "";
  for (const name of ["variant", "from", "to"]) form.elements[name].value = view[name] ?? "";
  form.querySelector("[data-clear]").hidden = !NAMES.some((name) => view[name]);
  hint(form);
}

function hint(form) {
  const count = characters(sought(form.elements.q.value));
  const short = count > 0 && count < MIN_CHARACTERS && `${MIN_CHARACTERS - count} more to search`;
  const long = count > MAX_CHARACTERS && `Only the first ${MAX_CHARACTERS} characters are searched for`;
  form.querySelector(".hint").textContent = short || long || "";
}

/** A day is the person's own, not UTC's. */
const startOf = (text) => moment(text, "T00:00:00");
const endOf = (text) => moment(text, "T23:59:59.999");

/** The moment of a day that there is, of a year that the API knows; else null. */
function moment(day, time) {
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(day ?? "");
  const [utc, own] = [new Date(`${day}T00:00:00Z`), new Date(`${day}${time}`)];
  if (!isDay || Number.isNaN(utc.getTime()) || utc.toISOString().slice(0, 10) !== day) return null;
  return own.getUTCFullYear() >= 1 && own.getUTCFullYear() <= 9999 ? own.toISOString() : null;
}
