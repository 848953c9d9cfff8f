/** A line at the bottom that says what happened, and may undo it. */

import { element, html } from "./html.js";

const SECONDS = 8;
const place = document.querySelector("#toasts");

/** Shows the message, also to screen readers; with an action, its button. Gone after some seconds, never under a hand. */
export function toast(message, { action = null, seconds = SECONDS } = {}) {
  const line = element(html`<div class="toast">
    <span>${message}</span>
    ${action && html`<button type="button">${action.label}</button>`}
    <button type="button" class="quiet" aria-label="Close this message">×</button>
  </div>`);
  const [first] = line.querySelectorAll("button");
  let timer = null;
  const close = () => line.remove();
  const wait = () => (timer = setTimeout(close, seconds * 1000));
  if (action) first.addEventListener("click", () => (close(), action.run()));
  line.querySelector(".quiet").addEventListener("click", close);
  for (const stay of ["pointerenter", "focusin"]) line.addEventListener(stay, () => clearTimeout(timer));
  for (const leave of ["pointerleave", "focusout"]) line.addEventListener(leave, wait);
  addLine(line);
  wait();
}

/** Shows a line; while a dialog is open inside it, as all else is out of reach then. */
export function addLine(line) {
  const dialog = [...document.querySelectorAll("dialog:modal")].at(-1);
  const home = dialog ?? document.body;
  if (place.parentNode !== home) {
    home.append(place);
    dialog?.addEventListener("close", () => document.body.append(place), { once: true });
  }
  place.append(line);
}
