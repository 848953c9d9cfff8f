/** Where the API is, and whose word the page has for it. The only file to change when the page is hosted elsewhere. */

const KEPT = "generation-history-token";

export const config = {
  /** The functions' base URL: a path beside the page, or https://… of the functions, which then name this origin in
   *  HISTORY_CORS_ORIGINS; the page's Content-Security-Policy must name it in connect-src too. */
  api: "/api",

  /** The token or API key of whoever looks, or null where none is needed. May be async: ask your own login here. */
  token: () => localStorage.getItem(KEPT),

  /** Called with what the person typed when the API answered 401. */
  keepToken: (token) => localStorage.setItem(KEPT, token),
};
