/** The history API: JSON in and out, every failure an ApiError, nothing asked for twice that has not changed. */

import { config } from "./config.js";
import { currentToken } from "./token.js";

const TIMEOUT_MS = 35_000;
const MAX_KEPT = 60;
/** No header carries anything else. */
const SENDABLE = /^[\x21-\x7e]+$/;
const NOT_SENDABLE = "The token has characters that no token has: it may not have been copied as it is.";

/** What went wrong; code is the API's own, or "offline", "slow", "broken". retryAfter is in seconds, or null. */
export class ApiError extends Error {
  constructor(message, { status = 0, code, requestId = null, retryAfter = null }) {
    super(message);
    Object.assign(this, { status, code, requestId, retryAfter });
  }
}

const answers = new Map();
let askForToken = null;
let asking = null;

/** From now on a 401 asks here for a token; what was asked for goes on with it. */
export function onUnauthorized(ask) {
  askForToken = ask;
}

/** Guarantees that nothing is shown again that was answered before. */
export const forget = () => answers.clear();

export const get = (path, { params = {}, signal } = {}) => call("GET", withParams(path, params), { signal });
export const post = (path, body = {}) => call("POST", path, { body });
export const patch = (path, body) => call("PATCH", path, { body });
export const remove = (path) => call("DELETE", path, {});

/** The URL of a path of the API, as a link. */
export const linkTo = (path) => `${config.api}${path}`;

async function call(method, path, options) {
  for (;;) {
    try {
      return await once(method, path, options);
    } catch (error) {
      if (error.status !== 401 || !askForToken) throw error;
      asking ??= askForToken(error.message).finally(() => (asking = null));
      if (!(await asking)) throw error;
      forget();
    }
  }
}

async function once(method, path, { body, signal }) {
  const known = method === "GET" ? answers.get(path) : undefined;
  const response = await send(method, path, body, signal, known?.etag);
  if (response.status === 304 && known) return known.body;
  const parsed = await parse(response, signal);
  if (!response.ok) throw refusal(response, parsed);
  if (method === "GET") keep(path, response.headers.get("etag"), parsed);
  return parsed;
}

async function send(method, path, body, signal, etag) {
  const token = await currentToken();
  const headers = {};
  if (token && !SENDABLE.test(token)) throw new ApiError(NOT_SENDABLE, { status: 401, code: "not_authenticated" });
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (etag) headers["If-None-Match"] = etag;
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    return await fetch(linkTo(path), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    throw failure(error, signal);
  }
}

async function parse(response, signal) {
  try {
    const parsed = JSON.parse(await response.text());
    if (parsed === null || typeof parsed !== "object") throw new SyntaxError("no object");
    return parsed;
  } catch (error) {
    if (error.name === "AbortError" && signal?.aborted) throw error;
    const code = response.ok ? "broken" : "http";
    throw new ApiError(`The server's answer could not be read (${response.status}).`, { status: response.status, code });
  }
}

function failure(error, signal) {
  if (signal?.aborted) return error;
  if (error.name === "TimeoutError") return new ApiError("The server took too long to answer.", { code: "slow" });
  return new ApiError("The server cannot be reached.", { code: "offline" });
}

function refusal(response, { error, code, request_id: requestId }) {
  return new ApiError(typeof error === "string" ? error : `The server answered ${response.status}.`, {
    status: response.status,
    code: typeof code === "string" ? code : "http",
    requestId: typeof requestId === "string" ? requestId : null,
    retryAfter: Number(response.headers.get("retry-after")) || null,
  });
}

function keep(path, etag, body) {
  answers.delete(path);
  if (etag) answers.set(path, { etag, body });
  if (answers.size > MAX_KEPT) answers.delete(answers.keys().next().value);
}

function withParams(path, params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") query.append(name, one);
  }
  return query.size ? `${path}?${query}` : path;
}
