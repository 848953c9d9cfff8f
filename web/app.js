/** Starts the page: which view is shown is for the address to say. */

import { forget, onUnauthorized } from "./api.js";
import { config } from "./config.js";
import { GenerationView } from "./generation.js";
import { bind, showKeys } from "./keys.js";
import { Library } from "./library.js";
import { current, onChange } from "./router.js";
import { showStatistics } from "./statistics.js";
import { askForToken } from "./token.js";

const sections = Object.fromEntries(["library", "generation", "statistics"].map((id) => [id, document.getElementById(id)]));
const library = new Library(sections.library);
const generation = new GenerationView(sections.generation, { hide: (ids) => library.withoutThem(ids) });
let shown = null;

const nameOf = (view) => (view.generation ? "generation" : view.view === "statistics" ? "statistics" : "library");

function show(view) {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  const name = nameOf(view);
  if (shown === "library" && name !== shown) library.hide();
  if (shown === "generation" && name !== shown) generation.hide();
  for (const [id, section] of Object.entries(sections)) section.hidden = id !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.name === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (name !== "generation") document.title = name === "statistics" ? "Statistics · Generation History" : "Generation History";
  const moved = shown !== null && shown !== name;
  shown = name;
  if (name === "library") library.show(view);
  if (name === "generation") generation.show(view);
  if (name === "statistics") (scrollTo({ top: 0 }), showStatistics(sections.statistics));
  if (moved) document.querySelector("main").focus({ preventScroll: true });
}

/** As after a reload, which would lose a token that the browser does not keep. */
function startAnew() {
  forget();
  library.forget();
  generation.forget();
  show(current());
}

history.scrollRestoration = "manual";
onUnauthorized(askForToken);
onChange(show);
bind("everywhere", document, { "?": () => document.querySelector("dialog.sheet") || showKeys() });
document.querySelector("[data-keys]").addEventListener("click", showKeys);
document.addEventListener("click", async ({ target }) => {
  if (target.closest("[data-token]") && (await askForToken("Enter another token or API key."))) startAnew();
});
addEventListener("online", () => shown === "library" && library.broken && library.again());
if (!config.api) throw new Error("config.js names no API");
show(current());
