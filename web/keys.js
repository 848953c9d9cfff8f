/** The one table of keys: what is bound is what the sheet shows. */

import { element, html } from "./html.js";

export const KEYS = [
  { scope: "everywhere", key: "?", says: "show these keys" },
  { scope: "library", key: "/", says: "search" },
  { scope: "library", key: "j", says: "next generation" },
  { scope: "library", key: "k", says: "generation before" },
  { scope: "library", key: "x", says: "select the generation; with Shift, all up to it" },
  { scope: "library", key: "a", says: "select all that are loaded" },
  { scope: "library", key: "Escape", says: "select nothing" },
  { scope: "library", key: "Delete", says: "delete what is selected" },
  { scope: "player", key: " ", name: "Space", says: "play or pause" },
  { scope: "player", key: "ArrowLeft", name: "←", says: "one second back" },
  { scope: "player", key: "ArrowRight", name: "→", says: "one second on" },
  { scope: "player", key: ",", says: "one frame back" },
  { scope: "player", key: ".", says: "one frame on" },
  { scope: "player", key: "p", says: "scene before" },
  { scope: "player", key: "n", says: "next scene" },
  ...["1", "2", "3", "4"].map((key) => ({ scope: "player", key, says: `scene ${key}` })),
  { scope: "player", key: "v", says: "next variant" },
  { scope: "player", key: "m", says: "sound on or off" },
  { scope: "player", key: "f", says: "full screen" },
  { scope: "player", key: "d", says: "download" },
  { scope: "player", key: "c", says: "copy a link to this moment" },
  { scope: "player", key: "Escape", says: "close" },
  { scope: "compare", key: " ", name: "Space", says: "play or pause all" },
  { scope: "compare", key: "ArrowLeft", name: "←", says: "one second back" },
  { scope: "compare", key: "ArrowRight", name: "→", says: "one second on" },
  { scope: "compare", key: "v", says: "the next variant's sound" },
  { scope: "compare", key: "m", says: "sound on or off" },
  { scope: "compare", key: "Escape", says: "close" },
];

const TITLES = { everywhere: "Everywhere", library: "Library", player: "Player", compare: "Comparison" };

/** From now on the scope's keys do this in the target: actions by key. A key that the table lacks is an error. */
export function bind(scope, target, actions, { when = () => true } = {}) {
  const known = new Set(KEYS.filter((one) => one.scope === scope).map((one) => one.key));
  const strange = Object.keys(actions).filter((key) => !known.has(key));
  if (strange.length) throw new Error(`keys.js does not know ${strange.join(" ")} of ${scope}`);
  // On the way down: a video's own controls would play what these have just paused.
  target.addEventListener("keydown", (event) => {
    // A browser that fills in a form sends keys without a name.
    const key = event.key?.length === 1 ? event.key.toLowerCase() : event.key;
    if (!Object.hasOwn(actions, key) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.defaultPrevented || isTyping(event.target, key) || !when()) return;
    if (actions[key](event) === false) return;
    event.preventDefault();
    event.stopPropagation();
  }, { capture: true });
}

/** Shows the sheet of all keys. */
export function showKeys() {
  const dialog = element(html`<dialog class="sheet" aria-labelledby="keys-title">
    <h2 id="keys-title">Keys</h2>
    <div class="columns">
      ${Object.entries(TITLES).map(
        ([scope, title]) => html`<section>
          <h3>${title}</h3>
          <dl>
            ${KEYS.filter((one) => one.scope === scope).map(
              ({ key, name, says }) => html`<div><dt><kbd>${name ?? key}</kbd></dt><dd>${says}</dd></div>`,
            )}
          </dl>
        </section>`,
      )}
    </div>
    <form method="dialog"><button>Close</button></form>
  </dialog>`);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function isTyping(target, key) {
  if (target.matches("input:not([type=checkbox], [type=range]), select, textarea")) return true;
  // Space and Enter press what has the focus.
  return key === " " && target.matches("button, a, summary, input:not([type=range])");
}
