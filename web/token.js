/** Asks for the token when the API wants one; whatever was asked for goes on afterwards. */

import { config } from "./config.js";
import { element, html } from "./html.js";

/** Whether a token was given. */
export function askForToken(reason) {
  const dialog = element(html`<dialog class="token" aria-labelledby="token-title">
    <form method="dialog">
      <h2 id="token-title">A token is needed</h2>
      <p>${reason}</p>
      <label>Token or API key <input type="password" name="token" required autocomplete="off" spellcheck="false" /></label>
      <p class="actions">
        <button value="use">Use it</button>
        <button type="button" data-cancel class="quiet">Not now</button>
      </p>
    </form>
  </dialog>`);
  document.body.append(dialog);
  dialog.querySelector("[data-cancel]").addEventListener("click", () => dialog.close("cancel"));
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const token = dialog.querySelector("input").value.trim();
      dialog.remove();
      const given = dialog.returnValue === "use" && token !== "";
      if (given) config.keepToken(token);
      resolve(given);
    });
    dialog.showModal();
  });
}
