/** The library: every generation, newest first, without end. */

import { ApiError, get } from "./api.js";
import { card, looksDifferent } from "./card.js";
import { removeGenerations } from "./deletion.js";
import { asked, clear, findBar, isFiltered } from "./find.js";
import { number } from "./format.js";
import { html, render } from "./html.js";
import { bind } from "./keys.js";
import { live } from "./live.js";
import { go } from "./router.js";
import { Selection } from "./selection.js";
import { empty, failed, noMatches } from "./states.js";
import { Wall } from "./wall.js";

const PAGE = 50;
const SLOW_MS = 3_000;

/** Works in the section until the page is closed; show(view) looks for what the address says. */
export class Library {
  constructor(section) {
    this.section = section;
    this.place = section.querySelector(".wall");
    this.state = section.querySelector(".below");
    this.told = section.querySelector(".told");
    this.pill = section.querySelector(".pill");
    this.find = findBar(section.querySelector(".bar"));
    Object.assign(this, { byId: new Map(), ids: [], waiting: [], total: null });
    this.wall = new Wall(this.place, {
      draw: (generation) => this.draw(generation),
      changed: looksDifferent,
      near: () => this.more(),
    });
    this.selection = new Selection(this, section.querySelector(".selection"));
    this.listen();
  }

  listen() {
    this.state.addEventListener("click", ({ target }) => {
      if (target.closest("[data-retry]")) this.again();
      if (target.closest("[data-clear]")) clear();
    });
    this.pill.addEventListener("click", () => (this.takeIn(), scrollTo({ top: 0 })));
    bind(
      "library",
      document,
      {
        "/": () => this.find.focus(),
        j: () => this.step(1),
        k: () => this.step(-1),
        x: (event) => this.selection.toggle(this.focused(), { range: event.shiftKey }),
        a: () => this.selection.all(),
        Escape: () => this.selection.none(),
        Delete: () => this.selection.remove(),
      },
      { when: () => !this.section.hidden && !document.querySelector("dialog[open]") },
    );
  }

  /** Shows what the address says; the same again stays as it is, where it was. */
  show(view) {
    this.find.show(view);
    const params = asked(view);
    const key = JSON.stringify(params);
    if (key === this.key) return this.resume();
    Object.assign(this, { key, params, filtered: isFiltered(view) });
    this.begin();
  }

  resume() {
    this.wall.measure();
    this.wall.show();
    scrollTo({ top: this.left ?? 0 });
    this.watch ??= live(() => this.look());
    this.watch.soon();
  }

  hide() {
    this.left = scrollY;
    this.watch?.stop();
    this.watch = null;
  }

  /** What is shown may be another's: the next look begins anew. */
  forget() {
    this.key = null;
  }

  /** Forgets what was found and asks anew. */
  begin() {
    this.asking?.abort();
    this.asking = new AbortController();
    Object.assign(this, { byId: new Map(), ids: [], cursor: null, ended: false, loading: false, broken: false, waiting: [] });
    // The number is that of the search before.
    this.say("");
    this.selection.none();
    this.pill.hidden = true;
    this.wall.set([]);
    scrollTo({ top: 0 });
    this.more();
    this.watch?.stop();
    this.watch = live(() => this.look());
  }

  again() {
    this.loading = false;
    this.broken = false;
    this.more();
  }

  /** Another page, if there is one and none is on its way. */
  async more() {
    if (this.loading || this.ended || this.broken) return;
    this.loading = true;
    const { signal } = this.asking;
    const slow = setTimeout(() => this.say("Still loading…"), SLOW_MS);
    if (!this.ids.length) this.skeletons();
    try {
      const page = await get("/history/generations", { params: { ...this.params, limit: PAGE, cursor: this.cursor }, signal });
      this.take(page);
    } catch (error) {
      if (signal.aborted) return;
      this.fail(error);
    } finally {
      clearTimeout(slow);
      if (!signal.aborted) this.loading = false;
    }
  }

  take(page) {
    if (!Array.isArray(page.generations)) throw new ApiError("The answer has no generations.", { code: "broken" });
    for (const generation of page.generations) this.keep(generation);
    this.cursor = page.next_cursor;
    this.ended = !page.next_cursor;
    this.total = page.total ?? null;
    this.loading = false;
    render(this.state, this.below());
    this.tell();
    this.refresh();
  }

  keep(generation) {
    if (!this.byId.has(generation.id)) this.ids.push(generation.id);
    this.byId.set(generation.id, generation);
  }

  below() {
    if (this.ids.length) return this.ended ? html`<p class="end quiet">That is all.</p>` : html`<p class="end quiet">Loading more…</p>`;
    return this.filtered ? noMatches() : empty();
  }

  /** Says how many there are: what is shown once that is all, before that the server's number, where it counts. */
  tell() {
    const { length } = this.ids;
    const all = this.ended ? length : this.total === null ? null : this.total - this.waiting.length;
    this.say(all === null ? `${number(length)} shown` : all === 1 ? "1 generation" : `${number(all)} generations`);
  }

  /** The same again is not read out again. */
  say(text) {
    if (this.told.textContent !== text) this.told.textContent = text;
  }

  fail(error) {
    this.broken = true;
    this.place.querySelector(".skeletons")?.remove();
    render(this.state, failed(error));
    if (this.ids.length) this.tell();
    else this.say("");
  }

  skeletons() {
    render(this.state, html`<div class="skeletons" aria-hidden="true">${Array.from({ length: 12 }, () => html`<span class="card"></span>`)}</div>`);
  }

  /** What changed of the newest: in place; new ones come on top, or wait behind a button for who has scrolled. */
  async look() {
    const { signal } = this.asking;
    const page = await this.newest(null, signal);
    if (!this.ids.length && !this.ended) return this.begun(page);
    if (page === this.seen) return false;
    const fresh = await this.unknown(page, signal);
    this.seen = page;
    for (const generation of page.generations) if (this.byId.has(generation.id)) this.byId.set(generation.id, generation);
    this.total = page.total ?? null;
    this.waiting = fresh;
    this.recount(fresh.length);
    if (scrollY < 80) this.takeIn();
    this.tell();
    this.refresh();
    return true;
  }

  /** A page of the search as it is now; rejects if another one began meanwhile, whose list it is not for. */
  async newest(cursor, signal) {
    const page = await get("/history/generations", { params: { ...this.params, limit: PAGE, cursor }, signal });
    signal.throwIfAborted();
    return page;
  }

  /** The first page had failed, and now it is there; one that is still on its way is for more(). */
  begun(page) {
    if (!this.broken) return false;
    this.broken = false;
    this.take(page);
    return true;
  }

  /** What is new: where that is more than a page, down to what is known, so that nothing is left out between. */
  async unknown(page, signal) {
    const isNew = ({ id }) => !this.byId.has(id);
    const fresh = page.generations.filter(isNew);
    for (let { generations, next_cursor: cursor } = page; this.ids.length && cursor && generations.every(isNew); ) {
      ({ generations, next_cursor: cursor } = await this.newest(cursor, signal));
      fresh.push(...generations.filter(isNew));
    }
    return fresh;
  }

  recount(count) {
    this.pill.hidden = !count || scrollY < 80;
    this.pill.textContent = count === 1 ? "1 new generation" : `${count} new generations`;
  }

  takeIn() {
    if (!this.waiting.length) return;
    if (!this.ids.length) render(this.state, html`<p class="end quiet">That is all.</p>`);
    for (const generation of this.waiting) this.byId.set(generation.id, generation);
    this.ids = [...this.waiting.map(({ id }) => id), ...this.ids];
    this.waiting = [];
    this.pill.hidden = true;
    this.tell();
    this.refresh();
  }

  refresh() {
    this.wall.set(this.ids.map((id) => this.byId.get(id)));
  }

  draw(generation) {
    const made = card(generation, { selected: this.selection.has(generation.id) });
    made.querySelector("[data-pick]").addEventListener("click", (event) =>
      this.selection.set(generation.id, event.target.checked, { range: event.shiftKey }),
    );
    return made;
  }

  /** These are not shown any more; what undo brings back is there at its place again. */
  withoutThem(ids) {
    const { byId, ids: order } = this;
    const gone = new Set(ids.filter((id) => byId.has(id)));
    if (!gone.size) return () => null;
    this.arrange(order.filter((id) => !gone.has(id)));
    return () => {
      // Another search has begun, whose list has no place for them; what belongs there comes as new.
      if (byId !== this.byId) return this.watch?.soon();
      const [before, shown] = [new Set(order), new Set([...this.ids, ...gone])];
      this.arrange([...this.ids.filter((id) => !before.has(id)), ...order.filter((id) => shown.has(id))]);
    };
  }

  /** Shows these from now on. The server's own number comes with the next answer, be it the same as the last. */
  arrange(ids) {
    if (this.total !== null) this.total += ids.length - this.ids.length;
    Object.assign(this, { ids, seen: null });
    if (!this.broken) render(this.state, this.below());
    this.tell();
    this.refresh();
    if (!ids.length) this.more();
  }

  remove(ids) {
    return removeGenerations(ids, { hide: (some) => this.withoutThem(some) });
  }

  focused() {
    return document.activeElement?.closest("article")?.dataset.id ?? null;
  }

  step(by) {
    const at = this.ids.indexOf(this.focused());
    const id = this.ids[Math.min(this.ids.length - 1, Math.max(0, at + by))];
    if (id) this.wall.reveal(id)?.querySelector(".media").focus({ preventScroll: true });
  }

  open(id) {
    go({ generation: id });
  }
}
