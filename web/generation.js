/** One generation: every variant by every scene, what is known of it, and what happened to it. */

import { ApiError, get, post } from "./api.js";
import { openCompare } from "./compare.js";
import { confirmed } from "./confirm.js";
import { removeGenerations } from "./deletion.js";
import { downloadGeneration, downloadScene } from "./downloads.js";
import { age, bytes, cost, dimensions, duration, failureWord, isUnderWay, missingWord, moment, outcomeWord, sourceName, statusWord } from "./format.js";
import { html, render, safeUrl } from "./html.js";
import { live } from "./live.js";
import { loadOmitted } from "./omitted.js";
import { openPlayer } from "./player.js";
import { readable } from "./readable.js";
import { current, go } from "./router.js";
import { failed } from "./states.js";
import { toast } from "./toast.js";

const KINDS = {
  original_analysis: "Analysis",
  transformation_data: "Transformation",
  prompts_data: "Prompts",
  evaluation_data: "Evaluation",
};
/** After these nothing is left to fetch: trying again makes a new video. */
const PAID_AGAIN = new Set(["provider_failed", "moderation_blocked", "expired", "provider_gone", "submit_rejected"]);

export class GenerationView {
  /** hide(ids) takes generations out of the library at once and returns what brings them back. */
  constructor(section, { hide }) {
    Object.assign(this, { section, hideInLibrary: hide });
    section.addEventListener("click", (event) => this.clicked(event));
  }

  async show(view) {
    // What comes for an earlier visit is not for this one.
    const visit = (this.visit = {});
    if (this.id !== view.generation) {
      this.id = view.generation;
      this.generation = null;
      render(this.section, html`<div class="loading" role="status"><span class="hidden">Loading…</span><span class="block"></span><span class="block tall"></span></div>`);
      scrollTo({ top: 0 });
    }
    if (await this.load()) this.opens(view);
    if (visit === this.visit) this.watch ??= live(() => this.look());
  }

  /** What is shown may be another's: the next look begins anew. */
  forget() {
    this.id = null;
  }

  hide() {
    this.visit = null;
    this.watch?.stop();
    this.watch = null;
  }

  /** Whether it is there now, for who is still here. What is shown stays when it cannot be read again. */
  async load() {
    const { visit } = this;
    try {
      const read = await this.read();
      if (visit === this.visit) this.take(read);
    } catch (error) {
      if (visit !== this.visit) return false;
      if (this.generation && error instanceof ApiError && error.status !== 404) {
        toast(`This may not be up to date: ${error.message}`);
        return true;
      }
      this.generation = null;
      render(this.section, failed(error, { back: true }));
      return false;
    }
    return visit === this.visit;
  }

  async read() {
    const { generation } = await get(`/history/generations/${encodeURIComponent(this.id)}`);
    if (!generation?.variants) throw new ApiError("The answer has no generation.", { code: "broken" });
    return loadOmitted(generation);
  }

  take(generation) {
    if (generation === this.generation) return false;
    this.generation = generation;
    const open = new Set([...this.section.querySelectorAll("details[open]")].map((one) => one.dataset.key));
    const focus = document.activeElement?.dataset?.key;
    render(this.section, page(generation));
    for (const details of this.section.querySelectorAll("details")) details.open = open.has(details.dataset.key);
    if (focus) this.section.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
    document.title = `${sourceName(generation.source_video_url)} · Generation History`;
    return true;
  }

  async look() {
    if (!this.generation || !(isUnderWay(this.generation) || this.retried)) return false;
    const { visit } = this;
    const read = await this.read();
    if (visit !== this.visit) return false;
    this.retried = false;
    return this.take(read);
  }

  opens({ play, t, compare }) {
    const { generation } = this;
    if (document.querySelector("dialog[open]")) return;
    const [, variant, scene] = /^(\w+)-(\d+)$/.exec(play ?? "") ?? [];
    if (variant) openPlayer({ generation, variant, scene: Number(scene), time: Number(t) || 0 });
    else if (compare) openCompare({ generation, scene: Number(compare) });
  }

  clicked(event) {
    const { dataset } = event.target.closest("button") ?? { dataset: {} };
    const { generation } = this;
    if ("retry" in dataset) this.load();
    if (dataset.play) {
      const [variant, scene] = dataset.play.split("-");
      openPlayer({ generation, variant, scene: Number(scene), time: 0 });
    }
    if (dataset.compare) openCompare({ generation, scene: Number(dataset.compare) });
    if (dataset.scene) downloadScene(this.sceneOf(dataset.scene), generation);
    if (dataset.again) this.retry(this.sceneOf(dataset.again));
    if (dataset.action === "zip") downloadGeneration(generation);
    if (dataset.action === "delete") this.remove();
  }

  sceneOf(id) {
    return this.generation.variants.flatMap(({ scenes }) => scenes).find((scene) => scene.id === id);
  }

  async retry(scene) {
    const unknown = scene.error_code === "submit_unknown" && !scene.sora_video_id;
    if (unknown && !(await confirmed(UNKNOWN))) return;
    if (PAID_AGAIN.has(scene.error_code) && !(await confirmed(AGAIN))) return;
    try {
      await post(`/history/scenes/${scene.id}/retry`, unknown ? { confirmed: true } : {});
      toast(`Scene ${scene.scene_number} is tried again`);
      this.retried = true;
      this.watch?.soon();
      await this.load();
    } catch (error) {
      toast(`Not retried: ${error.message}`, { seconds: 15 });
    }
  }

  remove() {
    const { id } = this;
    return removeGenerations([id], {
      hide: this.hideInLibrary,
      deleted: () => current().generation === id && go({}),
      restored: () => go({ generation: id }),
    });
  }
}

const UNKNOWN = {
  title: "Submit this scene again?",
  text: "The provider never said whether it took the job, and lists none that could be it. If it has one all the same, you pay twice. Look at the provider first.",
  yes: "It has no such job: submit again",
};
const AGAIN = {
  title: "Make this video anew?",
  text: "There is nothing left to fetch. Trying again submits the scene once more, and the provider asks for its price again.",
  yes: "Submit again",
};

function page(generation) {
  const name = sourceName(generation.source_video_url);
  const done = generation.variants.reduce((sum, { scenes_completed: videos }) => sum + videos, 0);
  return html`<header class="head">
      <p><a data-view href="./" class="back">← Library</a></p>
      <h1><bdi>${name}</bdi></h1>
      <p class="quiet source"><bdi>${generation.source_video_url}</bdi></p>
      <p class="status" data-status="${generation.status}"><span class="dot"></span>${statusWord(generation.status)}
        ${missingWord(generation) && html`<strong class="missing">${missingWord(generation)}</strong>`}
        ${generation.error_message && html`<span class="cause">${generation.error_message}</span>`}</p>
      <dl class="figures">
        <div><dt>Id</dt><dd><code class="id" title="${generation.id}">${generation.short_id}</code></dd></div>
        <div><dt>Cost</dt><dd>${cost(generation.actual_cost)}</dd></div>
        <div><dt>Estimate</dt><dd>${cost(generation.cost_estimate)}</dd></div>
        <div><dt>Videos</dt><dd>${done}</dd></div>
        <div><dt>Recorded</dt><dd><time datetime="${generation.created_at}" title="${moment(generation.created_at)}">${age(generation.created_at)}</time></dd></div>
        ${generation.completed_at && html`<div><dt>Completed</dt><dd><time datetime="${generation.completed_at}" title="${moment(generation.completed_at)}">${age(generation.completed_at)}</time></dd></div>`}
      </dl>
      <p class="actions">
        <button type="button" data-action="zip" data-key="zip" ${!done && html`disabled`}>Download all as zip</button>
        <button type="button" data-action="delete" data-key="delete" class="quiet">Delete</button>
      </p>
    </header>
    ${variantWall(generation)}
    <section class="known" aria-labelledby="known">
      <h2 id="known">What is known</h2>
      ${Object.entries(KINDS).map(([kind, title]) => known(title, kind, generation.metadata?.[kind]))}
    </section>`;
}

function variantWall({ variants }) {
  const most = Math.max(1, ...variants.map(({ scenes }) => scenes.length));
  const numbers = Array.from({ length: most }, (_, at) => at + 1);
  const comparable = (number) => variants.filter(({ scenes }) => scenes.some((one) => one.scene_number === number && one.video_url)).length;
  return html`<section class="scenes" aria-label="Scenes" tabindex="0">
    <table>
      <thead>
        <tr>
          <th scope="col"><span class="hidden">Variant</span></th>
          ${numbers.map(
            (number) => html`<th scope="col">Scene ${number}
              ${comparable(number) > 1 && html`<button type="button" class="quiet" data-compare="${number}" data-key="compare ${number}" aria-label="Compare scene ${number}">Compare</button>`}</th>`,
          )}
        </tr>
      </thead>
      <tbody>
        ${variants.map(
          (variant) => html`<tr>
            <th scope="row">
              <span class="variant">${variant.variant_type}</span>
              ${typeof variant.given_type === "string" && html`<span class="quiet">given as “<bdi>${variant.given_type}</bdi>”</span>`}
              <span class="status" data-status="${variant.status}"><span class="dot"></span>${statusWord(variant.status)}</span>
              <span class="quiet">${variant.scenes_completed} of ${variant.total_scenes}</span>
            </th>
            ${numbers.map((number) => html`<td>${sceneCell(variant, variant.scenes.find((one) => one.scene_number === number))}</td>`)}
          </tr>`,
        )}
      </tbody>
    </table>
  </section>`;
}

function sceneCell(variant, scene) {
  if (!scene) return null;
  const label = `${variant.variant_type} scene ${scene.scene_number}`;
  const facts = [duration(scene.duration), scene.resolution, bytes(scene.file_size)].filter(Boolean).join(" · ");
  return html`<figure data-status="${scene.status}">
    ${shot(scene, variant, label)}
    <figcaption>
      <p class="status" data-status="${scene.status}"><span class="dot"></span>${statusWord(scene.status)}</p>
      ${facts && html`<p class="quiet">${facts}</p>`}
      ${scene.status === "failed" && html`<p class="cause"><strong>${failureWord(scene.error_code)}</strong> <span dir="auto">${scene.error_message}</span></p>`}
      ${scene.status === "failed" && html`<button type="button" data-again="${scene.id}" data-key="again ${scene.id}" aria-label="Retry ${label}">Retry</button>`}
      ${scene.status === "completed" && scene.error_message && html`<p class="quiet" dir="auto">${scene.error_message}</p>`}
      ${scene.sora_prompt && html`<details data-key="prompt ${scene.id}"><summary>Prompt</summary><p class="prompt" dir="auto">${scene.sora_prompt}</p></details>`}
      <details data-key="timeline ${scene.id}"><summary>What happened</summary>${timeline(scene)}</details>
      ${scene.video_url && html`<button type="button" class="quiet" data-scene="${scene.id}" data-key="download ${scene.id}" aria-label="Download ${label}">Download</button>`}
    </figcaption>
  </figure>`;
}

function shot(scene, variant, label) {
  const [width, height] = dimensions(scene);
  const image = scene.thumbnail_url
    ? html`<img src="${safeUrl(scene.thumbnail_url)}" alt="" width="${width}" height="${height}" loading="lazy" decoding="async" />`
    : html`<svg class="none" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" aria-hidden="true"></svg>`;
  if (!scene.video_url) return html`<div class="shot">${image}</div>`;
  return html`<button type="button" class="shot" data-play="${variant.variant_type}-${scene.scene_number}" data-key="play ${scene.id}" aria-label="Play ${label}">
    ${image}<span class="play" aria-hidden="true">▶</span></button>`;
}

function timeline(scene) {
  const events = [[scene.created_at, "Recorded"]];
  for (const attempt of scene.attempts ?? []) {
    const nth = attempt.attempt > 1 ? ` (attempt ${attempt.attempt})` : "";
    events.push(
      [attempt.intended_at, `Submitted${nth}: ${[attempt.model, attempt.size, attempt.seconds && `${attempt.seconds} s`].filter(Boolean).join(", ")}`],
      [attempt.accepted_at, `Accepted as ${attempt.sora_video_id}`],
      [attempt.rendered_at, `Rendered, ${cost(attempt.cost)}`],
      [attempt.finished_at, `${outcomeWord(attempt.outcome)}${attempt.error_message ? `: ${attempt.error_message}` : ""}`],
    );
  }
  return html`<ol class="timeline">
    ${events.filter(([at]) => at).map(([at, what]) => html`<li><time datetime="${at}">${moment(at)}</time> <span dir="auto">${what}</span></li>`)}
  </ol>`;
}

function known(title, kind, value) {
  if (value === null || value === undefined) return null;
  return html`<details data-key="${kind}" class="kind">
    <summary><h3>${title}</h3></summary>
    ${readable(value)}
    <details data-key="${kind} raw"><summary>Raw</summary><pre dir="ltr"><code>${JSON.stringify(value, null, 2)}</code></pre></details>
  </details>`;
}
