/** Figures, times and states in words. Unknown is said, never shown as nothing or 0. */

const STATUSES = { pending: "Waiting", processing: "In progress", completed: "Completed", failed: "Failed" };

const FAILURES = {
  moderation_blocked: "The provider refused the prompt",
  provider_failed: "The provider could not render it",
  provider_gone: "The provider is gone",
  expired: "It expired before it could be fetched",
  not_found: "The provider does not know the job any more",
  download_failed: "The download kept failing",
  invalid_video: "What came was no usable video",
  storage_failed: "It could not be stored",
  timed_out: "It was not finished in time",
  submit_unknown: "Nobody knows whether the provider took the job",
  submit_rejected: "The provider rejected the request",
  cancelled: "Cancelled before it was submitted",
  abandoned: "Left untouched for a day",
};

const OUTCOMES = {
  intended: "about to be submitted",
  not_sent: "not submitted",
  accepted: "accepted by the provider",
  adopted: "found again at the provider",
  stored: "stored",
  failed: "failed",
};

const dollars = new Intl.NumberFormat("en", { style: "currency", currency: "USD" });
const numbers = new Intl.NumberFormat("en");
const ages = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const days = new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const moments = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });
const AGES = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

const isOpen = ({ status }) => status === "pending" || status === "processing";

/** The scenes of what is called completed; null where it is not, or where its scenes are not all here. */
function completedScenes({ status, variants }) {
  if (status !== "completed" || !variants.every(({ scenes }) => scenes)) return null;
  return variants.flatMap(({ scenes }) => scenes);
}

/** What is missing of a generation that is called completed, in words; null where nothing is. */
export function missingWord(generation) {
  const scenes = completedScenes(generation);
  if (!scenes) return null;
  if (!scenes.some(({ status }) => status === "completed")) return "without a video";
  const open = scenes.filter(isOpen).length;
  return open ? `${open} of ${scenes.length} scenes open` : null;
}

/** Whether a generation may still change by itself. */
export const isUnderWay = (generation) => isOpen(generation) || Boolean(completedScenes(generation)?.some(isOpen));

export const number = (value) => (value === null || value === undefined ? "unknown" : numbers.format(value));
export const cost = (value) => (value === null || value === undefined ? "unknown" : dollars.format(value));
export const percent = (value) => (value === null || value === undefined ? "none yet" : `${Math.round(value * 100)} %`);
export const statusWord = (status) => STATUSES[status] ?? String(status);
export const failureWord = (code) => FAILURES[code] ?? String(code ?? "It failed");
export const outcomeWord = (outcome) => OUTCOMES[outcome] ?? String(outcome);
export const day = (iso) => at(iso, (date) => days.format(date));
export const moment = (iso) => (iso ? at(iso, (date) => moments.format(date)) : "");
/** The day of the browser's clock, to tell days apart. */
export const dayKey = (iso) => new Date(iso).toDateString();

/** What no calendar has would end the whole page. */
function at(iso, said) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? "unknown" : said(date);
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")} min`;
  return `${number(Math.round(whole / 360) / 10)} h`;
}

export function bytes(count) {
  if (count === null || count === undefined) return "";
  if (count < 1000) return `${count} B`;
  const [unit, size] = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]].find(([, least]) => count >= least);
  return `${(count / size).toFixed(count / size < 10 ? 1 : 0)} ${unit}`;
}

export function age(iso, now = Date.now()) {
  return at(iso, (date) => {
    const seconds = (date.getTime() - now) / 1000;
    const [unit, size] = AGES.find(([, least]) => Math.abs(seconds) >= least) ?? ["second", 1];
    return unit === "second" ? "just now" : ages.format(Math.round(seconds / size), unit);
  });
}


/** What a person calls the source: the end of its path, or all of it where it has none. */
export function sourceName(source) {
  const text = String(source);
  const plain = text.replace(/^image-to-video:/, "").split(/[?#]/)[0].replace(/\/+$/, "");
  const last = plain.slice(plain.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(last) || text;
  } catch {
    return last || text;
  }
}

/** WIDTHxHEIGHT as numbers; the usual portrait where it is not known yet. */
export function dimensions(scene) {
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(scene?.resolution ?? "") ?? [];
  return Number(width) && Number(height) ? [Number(width), Number(height)] : [720, 1280];
}
