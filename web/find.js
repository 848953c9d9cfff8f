/** The bar that finds: search, statuses, variant, days; all of it is in the address. */

import { html, render } from "./html.js";
import { statusWord } from "./format.js";
import { current, replace, several } from "./router.js";

export const STATUSES = ["processing", "completed", "failed", "pending"];
export const VARIANTS = ["soft", "medium", "aggressive", "ultra"];
const NAMES = ["q", "status", "variant", "from", "to"];
const LEAST_CHARACTERS = 3;
const TYPING_MS = 250;

/** What the API is asked for, from what the address says. */
export function asked(view) {
  return {
    q: (view.q ?? "").trim().length >= LEAST_CHARACTERS ? view.q.trim() : null,
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
      <input type="search" name="q" placeholder="Search by source video" aria-label="Search by source video" maxlength="200" />
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

function read(form) {
  const given = new FormData(form);
  const values = Object.fromEntries(NAMES.map((name) => [name, given.getAll(name).join(",")]));
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value));
}

function fill(form, view) {
  const statuses = several(view.status);
  for (const box of form.elements.status) box.checked = statuses.includes(box.value);
  if (document.activeElement !== form.elements.q) form.elements.q.value = view.q ?? "";
  for (const name of ["variant", "from", "to"]) form.elements[name].value = view[name] ?? "";
  form.querySelector("[data-clear]").hidden = !NAMES.some((name) => view[name]);
  hint(form);
}

function hint(form) {
  const missing = LEAST_CHARACTERS - form.elements.q.value.trim().length;
  const short = missing > 0 && missing < LEAST_CHARACTERS;
  form.querySelector(".hint").textContent = short ? `${missing} more to search` : "";
}

const isDay = (text) => /^\d{4}-\d{2}-\d{2}$/.test(text ?? "") && !Number.isNaN(Date.parse(text));
/** A day is the person's own, not UTC's. */
const startOf = (text) => (isDay(text) ? new Date(`${text}T00:00:00`).toISOString() : null);
const endOf = (text) => (isDay(text) ? new Date(`${text}T23:59:59.999`).toISOString() : null);
