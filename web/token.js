/** Asks for the token when the API wants one; whatever was asked for goes on afterwards. */

import { config } from "./config.js";
import { element, html } from "./html.js";
import { toast } from "./toast.js";

/** What the browser does not keep, as its storage is blocked or full: it holds until the page is left. */
let held = null;

/** The token to use, or null; whoever cannot tell has none. */
export async function currentToken() {
  if (held) return held;
  try {
    return await config.token();
  } catch {
    return null;
  }
}

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
    dialog.addEventListener("close", async () => {
      const token = dialog.querySelector("input").value.trim();
      dialog.remove();
      const given = dialog.returnValue === "use" && token !== "";
      if (given) await keep(token);
      resolve(given);
    });
    dialog.showModal();
  });
}

async function keep(token) {
  held = null;
  try {
    await config.keepToken(token);
  } catch {
    // What is said below is all there is to say.
  }
  if ((await currentToken()) === token) return;
  held = token;
  toast("This browser keeps nothing for this page: after a reload the token is asked for again.");
}
