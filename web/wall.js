/** A wall of cards of one size under headings of their days, of which only what is near the window is in the page. */

import { day, dayKey } from "./format.js";
import { element, html } from "./html.js";

/** Cards are kept this many window heights above and below. */
const AROUND = 1;

export class Wall {
  /** draw(item) makes a card, changed(before, after) says whether it has to be made anew. */
  constructor(place, { draw, changed, near }) {
    Object.assign(this, { place, draw, changed, near, items: [], rows: [], drawn: new Map() });
    this.resized = new ResizeObserver(() => this.measure());
    this.resized.observe(place);
    addEventListener("scroll", () => this.show(), { passive: true });
  }

  /** Guarantees that these items are shown, in this order; cards of items that are the same stay as they are. */
  set(items) {
    this.items = items;
    this.lay();
  }

  /** The card of an item, which is scrolled to if need be. */
  reveal(id) {
    const row = this.rows.find((one) => one.items?.some((item) => item.id === id));
    if (!row) return null;
    const top = this.place.getBoundingClientRect().top + scrollY + row.top;
    if (top < scrollY + 80 || top + row.height > scrollY + innerHeight) {
      scrollTo({ top: Math.max(0, top - innerHeight / 3) });
    }
    this.show();
    return this.card(id);
  }

  card(id) {
    return this.place.querySelector(`article[data-id="${CSS.escape(id)}"]`);
  }

  measure() {
    const style = getComputedStyle(this.place);
    const size = (name) => this.place.querySelector(`.${name}`)?.getBoundingClientRect();
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const length = (name) => parseFloat(style.getPropertyValue(name)) * rem;
    const before = `${this.columns} ${this.height} ${this.gap}`;
    this.gap = length("--gap");
    this.height = size("card")?.height || length("--card-height");
    this.heading = length("--day-height");
    this.columns = Math.max(1, Math.floor((this.place.clientWidth + this.gap) / (length("--card-width") + this.gap)));
    this.place.style.setProperty("--columns", this.columns);
    if (before !== `${this.columns} ${this.height} ${this.gap}`) this.lay();
  }

  /** Plans the rows: a heading where the day changes, then as many cards a row as there is room for. */
  lay() {
    if (!this.columns) return this.measure();
    const rows = [];
    let top = 0;
    let key = null;
    for (const item of this.items) {
      const its = dayKey(item.created_at);
      if (its !== key) {
        key = its;
        rows.push({ key: `day ${key}`, top, height: this.heading, day: item.created_at });
        top += this.heading;
      }
      let row = rows.at(-1);
      if (row.day || row.items.length === this.columns) {
        row = { key: item.id, top, height: this.height, items: [] };
        rows.push(row);
        top += this.height + this.gap;
      }
      row.items.push(item);
    }
    this.rows = rows;
    this.place.style.height = `${top}px`;
    this.show();
  }

  /** Draws what came near and drops what is far; what has the focus stays. */
  show() {
    if (this.place.closest("[hidden]") || !this.rows.length) return this.prune(new Set());
    const origin = -this.place.getBoundingClientRect().top;
    const [from, to] = [origin - AROUND * innerHeight, origin + (1 + AROUND) * innerHeight];
    const wanted = this.rows.filter((row) => row.top + row.height > from && row.top < to);
    const kept = new Set(wanted.map((row) => row.key));
    for (const row of wanted) this.draws(row);
    this.prune(kept);
    if (to >= parseFloat(this.place.style.height)) this.near();
  }

  prune(kept) {
    for (const [key, { node }] of this.drawn) {
      if (kept.has(key) || (this.rows.length && node.contains(document.activeElement))) continue;
      node.remove();
      this.drawn.delete(key);
    }
  }

  draws(row) {
    const before = this.drawn.get(row.key);
    const node = before?.node ?? element(row.day ? html`<h2 class="day">${day(row.day)}</h2>` : html`<div class="row"></div>`);
    node.style.transform = `translateY(${row.top}px)`;
    if (!before) this.insert(node, row);
    if (row.items) this.fill(node, row.items, before?.items ?? []);
    this.drawn.set(row.key, { node, items: row.items, top: row.top });
  }

  insert(node, row) {
    // In reading order, for those who tab or listen.
    const next = [...this.drawn.values()].filter((one) => one.top > row.top).sort((a, b) => a.top - b.top)[0];
    this.place.insertBefore(node, next?.node.parentNode === this.place ? next.node : null);
  }

  fill(node, items, before) {
    const known = new Map(before.map((item) => [item.id, item]));
    const cards = new Map([...node.children].map((card) => [card.dataset.id, card]));
    const fresh = items.map((item) => {
      const card = cards.get(item.id);
      if (card && known.has(item.id) && !this.changed(known.get(item.id), item)) return card;
      const drawn = this.draw(item);
      if (card) handOver(card, drawn);
      return drawn;
    });
    if (fresh.length !== node.children.length || fresh.some((card, at) => node.children[at] !== card)) {
      const focused = document.activeElement;
      node.replaceChildren(...fresh);
      if (node.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true });
    }
    for (const card of fresh) if (card.dataset.focus) focusAgain(card);
  }
}

function handOver(before, after) {
  if (!before.contains(document.activeElement)) return;
  after.dataset.focus = [...before.querySelectorAll("a, button, input")].indexOf(document.activeElement);
}

function focusAgain(card) {
  const at = Number(card.dataset.focus);
  delete card.dataset.focus;
  (card.querySelectorAll("a, button, input")[at] ?? card).focus({ preventScroll: true });
}
