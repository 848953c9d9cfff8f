/** Bars in SVG; the same numbers stand beside them in a table. */

import { html } from "./html.js";

const [WIDTH, HEIGHT, BELOW, LEFT] = [720, 200, 22, 56];

/** Stacked bars: series [{name, className}], bars [{label, values}] in the series' order; show makes a number readable. */
export function bars({ title, series, bars: all, show }) {
  const sums = all.map(({ values }) => values.reduce((sum, value) => sum + (value ?? 0), 0));
  const most = ceiling(Math.max(...sums, 0));
  const step = (WIDTH - LEFT) / Math.max(1, all.length);
  const y = (value) => HEIGHT - (value / most) * (HEIGHT - 12);
  return html`<figure class="chart">
    <figcaption>
      <h3>${title}</h3>
      ${series.length > 1 && html`<p class="legend">${series.map(({ name, className }) => html`<span><i class="${className}"></i>${name}</span>`)}</p>`}
    </figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT + BELOW}" role="img" aria-label="${title}: the numbers are in the table">
      ${[0, most / 2, most].map(
        (value) => html`<line class="grid" x1="${LEFT}" x2="${WIDTH}" y1="${y(value)}" y2="${y(value)}"></line>
          <text x="${LEFT - 8}" y="${y(value) + 4}" text-anchor="end">${show(value)}</text>`,
      )}
      ${all.map(({ label, values }, at) => bar({ label, values, series, show, y, x: LEFT + at * step, width: step, named: at % Math.ceil(all.length / 8) === 0 }))}
    </svg>
  </figure>`;
}

function bar({ label, values, series, show, y, x, width, named }) {
  let below = 0;
  const said = series.map(({ name }, at) => `${name} ${values[at] === null ? "unknown" : show(values[at])}`).join(", ");
  return html`<g>
    <title>${label}: ${said}</title>
    <rect class="touch" x="${x}" y="0" width="${width}" height="${HEIGHT}"></rect>
    ${values.map((value, at) => {
      const from = below;
      below += value ?? 0;
      return value > 0 && html`<rect class="${series[at].className}" x="${x + width * 0.15}" y="${y(below)}" width="${width * 0.7}" height="${y(from) - y(below)}"></rect>`;
    })}
    ${named && html`<text x="${x + width / 2}" y="${HEIGHT + 16}" text-anchor="middle">${label}</text>`}
  </g>`;
}

/** The next of 1, 2, 5, 10, 20… */
function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((factor) => factor * power >= value) * power;
}
