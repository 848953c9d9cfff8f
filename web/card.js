/** A generation as a card: its pictures, what it is, how far it is. */

import { age, cost, dimensions, missingWord, moment, sourceName, statusWord } from "./format.js";
import { element, html, safeUrl } from "./html.js";
import { address } from "./router.js";

const HOVER_MS = 180;

export const scenesOf = (generation) => generation.variants.flatMap((variant) => variant.scenes ?? []);

/** Whether two states of a generation look different. */
export const looksDifferent = (before, after) => before !== after && sight(before) !== sight(after);

/** The card of a generation. */
export function card(generation, { selected = false } = {}) {
  const name = sourceName(generation.source_video_url);
  const scenes = scenesOf(generation);
  const poster = scenes.find((scene) => scene.thumbnail_url) ?? null;
  const made = element(html`<article class="card" data-id="${generation.id}" data-status="${generation.status}" aria-label="${name}">
    <a class="media" data-view href="${address({ generation: generation.id })}" aria-label="Open ${name}">
      <span class="poster">${picture(poster)}</span>
      <span class="strip">${generation.variants.map((variant) => variant.scenes?.map((scene) => cell(scene)))}</span>
    </a>
    <label class="pick"><input type="checkbox" data-pick ${selected && html`checked`} /><span class="hidden">Select ${name}</span></label>
    <div class="facts">
      <h3><a data-view href="${address({ generation: generation.id })}" title="${generation.source_video_url}"><bdi>${name}</bdi></a></h3>
      <p class="status"><span class="dot"></span>${statusWord(generation.status)}
        ${missingWord(generation) && html`<strong class="missing">${missingWord(generation)}</strong>`}${progress(generation, scenes)}
        ${generation.error_message && html`<span class="quiet" title="${generation.error_message}">${generation.error_message}</span>`}</p>
      <p class="quiet"><span>${generation.variant_types.join(", ")}</span><code class="id" title="${generation.id}">${generation.short_id}</code></p>
      <p class="quiet">
        <span title="What it cost">${cost(generation.actual_cost)}</span>
        <time datetime="${generation.created_at}" title="${moment(generation.created_at)}">${age(generation.created_at)}</time>
      </p>
    </div>
  </article>`);
  if (poster) playsUnderThePointer(made, scenes.filter((scene) => scene.video_url));
  return made;
}

function picture(scene) {
  if (!scene) return html`<span class="none" aria-hidden="true"></span>`;
  const [width, height] = dimensions(scene);
  return html`<img src="${safeUrl(scene.thumbnail_url)}" alt="" width="${width}" height="${height}" loading="lazy" decoding="async" />`;
}

const cell = (scene) => html`<span class="cell" data-status="${scene.status}">${scene.thumbnail_url && picture(scene)}</span>`;

function progress(generation, scenes) {
  if (generation.status !== "processing" && generation.status !== "pending") return null;
  const done = scenes.filter((scene) => scene.status === "completed").length;
  if (!scenes.length) return null;
  return html`<progress max="${scenes.length}" value="${done}" aria-label="Scenes done"></progress>
    <span class="count">${done} of ${scenes.length}</span>`;
}

/** The first video plays while the pointer or the focus is on it; moved over, the pointer goes through all of them. */
function playsUnderThePointer(made, scenes) {
  if (!scenes.length) return;
  const [media, poster] = [made.querySelector(".media"), made.querySelector(".poster")];
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let video = null;
  let timer = null;

  function start() {
    if (video || calm.matches) return;
    video = element(html`<video muted loop playsinline preload="auto" aria-hidden="true" tabindex="-1"></video>`);
    video.muted = true;
    show(0);
    poster.append(video);
  }

  function show(at) {
    const url = safeUrl(scenes[at].video_url);
    if (video.src === url) return;
    video.src = url;
    video.play().catch(() => null);
  }

  function stop() {
    clearTimeout(timer);
    video?.removeAttribute("src");
    video?.load();
    video?.remove();
    video = null;
  }

  const soon = () => (timer = setTimeout(start, HOVER_MS));
  media.addEventListener("pointerenter", soon);
  media.addEventListener("pointerleave", stop);
  media.addEventListener("focus", soon);
  media.addEventListener("blur", stop);
  media.addEventListener("pointermove", ({ clientX }) => {
    if (!video) return;
    const { left, width } = media.getBoundingClientRect();
    show(Math.min(scenes.length - 1, Math.max(0, Math.floor(((clientX - left) / width) * scenes.length))));
  });
}

function sight(generation) {
  const scenes = scenesOf(generation).map((scene) => [scene.status, scene.thumbnail_url, scene.video_url]);
  return JSON.stringify([generation.status, generation.error_message, generation.actual_cost, generation.variant_types, scenes]);
}
