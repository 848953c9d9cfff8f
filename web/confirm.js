/** Asks before something that cannot be undone. */

import { element, html } from "./html.js";

/** Whether the person said yes. */
export function confirmed({ title, text, yes }) {
  const dialog = element(html`<dialog class="confirm" aria-labelledby="confirm-title">
    <form method="dialog">
      <h2 id="confirm-title">${title}</h2>
      <p>${text}</p>
      <p class="actions"><button value="yes">${yes}</button> <button value="no" class="quiet" autofocus>Leave it</button></p>
    </form>
  </dialog>`);
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => (dialog.remove(), resolve(dialog.returnValue === "yes")));
    dialog.showModal();
  });
}
