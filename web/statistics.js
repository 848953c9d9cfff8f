/** What was made and what it cost: totals with what they mean, by day and by variant, as charts, tables and CSV. */

import { ApiError, get } from "./api.js";
import { bars } from "./charts.js";
import { saveText, toCsv } from "./csv.js";
import { bytes, cost, duration, number, percent } from "./format.js";
import { html, render } from "./html.js";
import { failed } from "./states.js";

const DONE = [
  { name: "Completed", className: "completed" },
  { name: "Failed", className: "failed" },
  { name: "In progress", className: "processing" },
  { name: "Waiting", className: "pending" },
];
const MADE = [
  { name: "Videos", className: "completed" },
  { name: "Failed scenes", className: "failed" },
];
const COST = [{ name: "Cost", className: "cost" }];

const DAY_COLUMNS = [
  ["day", "Day", String],
  ["generations", "Generations", number],
  ["completed", "Completed", number],
  ["failed", "Failed", number],
  ["processing", "In progress", number],
  ["pending", "Waiting", number],
  ["videos", "Videos", number],
  ["scenes_failed", "Failed scenes", number],
  ["seconds", "Length", duration],
  ["cost", "Cost", cost],
  ["cost_unknown", "Cost unknown", number],
  ["success_rate", "Success", percent],
];
const VARIANT_COLUMNS = [
  ["variant_type", "Variant", String],
  ["variants", "Variants", number],
  ["completed", "Completed", number],
  ["failed", "Failed", number],
  ["videos", "Videos", number],
  ["scenes_failed", "Failed scenes", number],
  ["seconds", "Length", duration],
  ["bytes", "Size", bytes],
  ["rendered_cost", "Rendered cost", cost],
  ["cost_unknown", "Cost unknown", number],
  ["success_rate", "Success", percent],
];

/** Shows them in the section, until they are shown anew. */
export async function showStatistics(section) {
  render(section, html`<div class="loading" role="status"><span class="hidden">Loading…</span><span class="block"></span><span class="block tall"></span></div>`);
  try {
    const answer = await get("/history/stats");
    if (!Array.isArray(answer.stats?.by_day)) throw new ApiError("The answer has no statistics.", { code: "broken" });
    const stats = honest(answer.stats);
    render(section, page(stats));
    section.querySelector("[data-csv=days]").addEventListener("click", () => csv("generations-by-day.csv", DAY_COLUMNS, stats.by_day));
    section.querySelector("[data-csv=variants]").addEventListener("click", () => csv("generations-by-variant.csv", VARIANT_COLUMNS, stats.by_variant));
  } catch (error) {
    render(section, failed(error, { back: true }));
    section.querySelector("[data-retry]").addEventListener("click", () => showStatistics(section));
  }
}

/** The same, but a sum of nothing that is known is unknown, and not 0. */
function honest(stats) {
  const known = (sum, unknown) => (sum === 0 && unknown > 0 ? null : sum);
  return {
    ...stats,
    total_cost: known(stats.total_cost, stats.cost_unknown),
    estimated_cost: known(stats.estimated_cost, stats.estimate_unknown),
    by_day: stats.by_day.map((one) => ({ ...one, cost: known(one.cost, one.cost_unknown) })),
    by_variant: stats.by_variant.map((one) => ({ ...one, rendered_cost: known(one.rendered_cost, one.cost_unknown) })),
  };
}

function page(stats) {
  const { by_day: days, by_variant: variants } = stats;
  const short = ({ day }) => day.slice(5).replace("-", "/");
  return html`<h1>Statistics</h1>
    <dl class="totals">${totals(stats).map(
      ([name, value, meaning]) => html`<div><dt>${name}</dt><dd>${value}</dd><dd class="quiet">${meaning}</dd></div>`,
    )}</dl>
    <section aria-labelledby="by-day">
      <h2 id="by-day">The last ${days.length} days</h2>
      <p class="quiet">Days are UTC's, and a generation counts on the day it was recorded.</p>
      <div class="charts">
      ${bars({ title: "Generations by day", series: DONE, show: number, bars: days.map((one) => ({ label: short(one), values: [one.completed, one.failed, one.processing, one.pending] })) })}
      ${bars({ title: "Cost by day", series: COST, show: cost, bars: days.map((one) => ({ label: short(one), values: [one.cost] })) })}
      </div>
      ${table("Each day", DAY_COLUMNS, days.toReversed(), "days")}
    </section>
    <section aria-labelledby="by-variant">
      <h2 id="by-variant">By variant</h2>
      <p class="quiet">A cost that your pipeline reported belongs to a whole generation and is not in here: this is what was rendered, at the prices recorded.</p>
      <div class="charts">
      ${bars({ title: "Videos by variant", series: MADE, show: number, bars: variants.map((one) => ({ label: one.variant_type, values: [one.videos, one.scenes_failed] })) })}
      ${bars({ title: "Rendered cost by variant", series: COST, show: cost, bars: variants.map((one) => ({ label: one.variant_type, values: [one.rendered_cost] })) })}
      </div>
      ${table("Each variant", VARIANT_COLUMNS, variants, "variants")}
    </section>`;
}

const totals = (stats) => [
  ["Generations", number(stats.total_generations), `${number(stats.completed)} completed, ${number(stats.failed)} failed, ${number(stats.processing)} in progress, ${number(stats.pending)} waiting`],
  ["Videos", number(stats.total_videos), `stored scenes: ${bytes(stats.total_bytes) || "0 B"}, ${duration(stats.total_seconds) || "0 s"} of video`],
  ["Cost", cost(stats.total_cost), `what is known; of ${number(stats.cost_unknown)} generations it is not`],
  ["Estimates", cost(stats.estimated_cost), `what was expected; ${number(stats.estimate_unknown)} generations had none`],
  ["Success", percent(stats.success_rate), `of the scenes that are over: ${number(stats.total_videos)} stored, ${number(stats.scenes_failed)} failed`],
];

function table(caption, columns, rows, name) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}">
      <table class="numbers">
        <caption class="hidden">${caption}</caption>
        <thead><tr>${columns.map(([, title]) => html`<th scope="col">${title}</th>`)}</tr></thead>
        <tbody>${rows.map(
          (row) => html`<tr>${columns.map(([key, , show], at) => (at ? html`<td>${show(row[key])}</td>` : html`<th scope="row">${show(row[key])}</th>`))}</tr>`,
        )}</tbody>
      </table>
    </div>
    <p><button type="button" class="quiet" data-csv="${name}">Download as CSV</button></p>`;
}

function csv(name, columns, rows) {
  saveText(name, toCsv([columns.map(([key]) => key), ...rows.map((row) => columns.map(([key]) => row[key]))]));
}
