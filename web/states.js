/** What stands where something could not be shown: what happened, and a way on. */

import { ApiError, linkTo } from "./api.js";
import { html } from "./html.js";

const SAID = {
  offline: ["The server cannot be reached", "Check your connection. What is on this page stays as it is."],
  slow: ["The server is too slow", "It did not answer in time."],
  broken: ["The answer broke off", "Only a part of it came, so none of it is shown."],
  not_authenticated: ["A token is needed", "The library opens with a token or an API key."],
  not_allowed: ["This is not allowed", "Your API key does not have the scope for it."],
  not_found: ["There is no such generation", "It was deleted, or it belongs to someone else."],
  unavailable: ["The database cannot be reached", "Nothing is lost. It may take a moment."],
};

/** A panel for what went wrong; its button with data-retry tries again, its link leads back to the library. */
export function failed(error, { back = false } = {}) {
  if (!(error instanceof ApiError)) throw error;
  const [title, text] =
    error.status === 429
      ? ["Too many requests", `Try again ${error.retryAfter ? `in ${error.retryAfter} s` : "in a moment"}.`]
      : (SAID[error.code] ?? ["Something went wrong", error.message]);
  // What the server says of it; the page's own words would say it twice.
  const said = error.requestId && text !== error.message ? error.message : null;
  return html`<div class="state" role="alert">
    <h2>${title}</h2>
    <p>${text}</p>
    ${said && html`<p class="quiet">${said}</p>`}
    ${error.requestId && html`<p class="quiet">Request <code>${error.requestId}</code></p>`}
    <p>
      <button type="button" data-retry>${error.status === 401 ? "Enter a token" : "Try again"}</button>
      ${error.status === 403 && html`<button type="button" data-token>Use another token</button>`}
      ${back && html`<a href="./" data-view>Back to the library</a>`}
    </p>
  </div>`;
}

export const empty = () => html`<div class="state">
  <h2>Nothing generated yet</h2>
  <p>Everything that your pipeline generates is kept and shown here. Make the first one:</p>
  <pre><code>curl -X POST ${new URL(linkTo("/history/generations"), location.href).href} \\
  -H 'Content-Type: application/json' \\
  -d '{"source_video_url": "https://example.com/ad.mp4", "source_video_type": "url",
       "prompts": {"soft": ["a kitchen in morning light", "the product, close"]}}'</code></pre>
</div>`;

export const noMatches = () => html`<div class="state">
  <h2>No generation matches</h2>
  <p>Nothing has all of what you look for.</p>
  <p><button type="button" data-clear>Clear search and filters</button></p>
</div>`;
