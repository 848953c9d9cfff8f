/** Which generations are selected, and what can be done with them all. */

import { downloadSeveral } from "./downloads.js";
import { html, render } from "./html.js";

export class Selection {
  constructor(library, bar) {
    Object.assign(this, { library, bar, ids: new Set(), last: null });
    render(
      bar,
      html`<span role="status"></span>
        <button type="button" data-action="download">Download</button>
        <button type="button" data-action="remove">Delete</button>
        <button type="button" data-action="all" class="quiet">Select all loaded</button>
        <button type="button" data-action="none" class="quiet">Select none</button>`,
    );
    bar.addEventListener("click", ({ target }) => {
      const action = target.closest("button")?.dataset.action;
      if (action) this[action]();
    });
  }

  has(id) {
    return this.ids.has(id);
  }

  /** Selected or not; with range, all between it and the one before. */
  set(id, on, { range = false } = {}) {
    for (const one of range ? this.between(this.last, id) : [id]) {
      if (on) this.ids.add(one);
      else this.ids.delete(one);
    }
    this.last = id;
    this.show();
  }

  toggle(id, options) {
    if (id) this.set(id, options?.range || !this.has(id), options);
  }

  all() {
    this.ids = new Set(this.library.ids);
    this.show();
  }

  none() {
    if (!this.ids.size) return false;
    const left = this.bar.contains(document.activeElement);
    this.ids.clear();
    this.show();
    if (left) this.library.wall.card(this.last)?.querySelector("[data-pick]").focus({ preventScroll: true });
    return true;
  }

  /** Deletes them, with an undo. */
  async remove() {
    const ids = [...this.ids];
    if (!ids.length) return;
    this.none();
    await this.library.remove(ids);
  }

  download() {
    const chosen = [...this.ids].map((id) => this.library.byId.get(id)).filter(Boolean);
    downloadSeveral(chosen);
  }

  between(from, to) {
    const { ids } = this.library;
    const [a, b] = [ids.indexOf(from), ids.indexOf(to)].sort((x, y) => x - y);
    return a < 0 ? [to] : ids.slice(a, b + 1);
  }

  show() {
    for (const box of document.querySelectorAll("[data-pick]")) {
      box.checked = this.has(box.closest("article").dataset.id);
    }
    this.bar.hidden = !this.ids.size;
    // The same element each time: it is told when it changes, and the buttons keep the focus.
    this.bar.querySelector("[role=status]").textContent = this.ids.size ? `${this.ids.size} selected` : "";
  }
}
