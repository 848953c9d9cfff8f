/** What the address says to show, in its query, so that any static host will do. */

const listeners = new Set();

export const current = () => Object.fromEntries(new URLSearchParams(location.search));

/** Every value of a name that may be there several times, separated by commas. */
export const several = (value) => (value ? value.split(",").filter(Boolean) : []);

/** The address of a view. */
export function address(params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    const text = Array.isArray(value) ? value.join(",") : value;
    if (text !== null && text !== undefined && text !== "") query.set(name, text);
  }
  return query.size ? `?${query}` : location.pathname;
}

export function go(params) {
  history.pushState(null, "", address(params));
  tell();
}

export function replace(params) {
  history.replaceState(null, "", address(params));
  tell();
}

/** The same view from now on goes by another address; nobody is told. */
export const rename = (params) => history.replaceState(null, "", address(params));

export const onChange = (listener) => listeners.add(listener);

function tell() {
  for (const listener of listeners) listener(current());
}

addEventListener("popstate", tell);

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-view]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  go(Object.fromEntries(new URL(link.href).searchParams));
});
