/** Variants of one scene side by side: playing in step, one of them heard, their prompts' differences marked. */

import { wordDiff } from "./diff.js";
import { element, html, render, safeUrl } from "./html.js";
import { bind } from "./keys.js";
import { refreshLinks } from "./links.js";
import { current, rename } from "./router.js";

const MOST = 4;
/** Further apart than this they are brought together again. */
const DRIFT_SECONDS = 0.08;

/** Opens on two to four variants of the scene; resolves once it is closed. */
export function openCompare({ generation, scene }) {
  const shown = generation.variants
    .map((variant) => ({ variant: variant.variant_type, scene: variant.scenes.find((one) => one.scene_number === scene) }))
    .filter((one) => one.scene?.video_url)
    .slice(0, MOST);
  if (shown.length < 2) return Promise.resolve();
  const dialog = element(frame(scene, shown));
  document.body.append(dialog);
  const together = new Together(dialog, shown.map((one) => one.scene));
  bind("compare", dialog, {
    " ": () => together.playOrPause(),
    ArrowLeft: () => together.seek(-1),
    ArrowRight: () => together.seek(1),
    v: () => together.hear(together.heard + 1),
    m: () => together.mute(),
  });
  dialog.addEventListener("click", ({ target, detail }) => {
    const { dataset } = target.closest("button") ?? { dataset: {} };
    if (dataset.do === "close") dialog.close();
    if (dataset.do === "play") together.playOrPause();
    if (dataset.hear) together.hear(Number(dataset.hear));
    if (dataset.again) together.again(Number(dataset.again));
    // After a click of the mouse, Space plays and pauses again.
    if (detail && dialog.open) dialog.querySelector("[data-do=play]").focus({ preventScroll: true });
  });
  dialog.querySelector("input").addEventListener("input", ({ target }) => together.go(Number(target.value)));
  rename({ generation: generation.id, compare: scene });
  dialog.showModal();
  together.play();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => {
      together.stop();
      dialog.remove();
      if (current().generation === generation.id) rename({ generation: generation.id });
      resolve();
    }),
  );
}

/** Videos that play as one: the longest leads, the others keep to it, and all wait for the slowest. */
class Together {
  constructor(dialog, scenes) {
    const videos = [...dialog.querySelectorAll("video")];
    Object.assign(this, { videos, scenes, dialog, wanted: false, heard: 0, muted: true });
    Object.assign(this, { refreshed: new Set(), broken: new Set() });
    for (const [at, video] of videos.entries()) {
      for (const happened of ["waiting", "stalled", "canplay", "seeked"]) video.addEventListener(happened, () => this.keepUp());
      for (const happened of ["timeupdate", "durationchange"]) video.addEventListener(happened, () => video === this.leader && this.align());
      video.addEventListener("ended", () => video === this.leader && (this.go(0), this.keepUp()));
      video.addEventListener("error", () => this.broke(at));
    }
    this.sound();
  }

  /** Those that can be played, as far as is known. */
  get able() {
    return this.videos.filter((_, at) => !this.broken.has(at));
  }

  get leader() {
    return this.able.reduce((one, other) => ((other?.duration || 0) > (one?.duration || 0) ? other : one), this.able[0] ?? this.videos[0]);
  }

  play() {
    this.wanted = true;
    this.keepUp();
  }

  pause() {
    this.wanted = false;
    this.keepUp();
  }

  playOrPause() {
    if (this.wanted) this.pause();
    else this.play();
  }

  /** All play once all can, or are at their end; else none does. */
  keepUp() {
    const { able } = this;
    const ready = able.every((video) => video.ended || (video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA && !video.seeking));
    for (const video of able) {
      if (!this.wanted || !ready) video.pause();
      else if (video.paused && !video.ended) video.play().catch(() => null);
    }
    this.dialog.querySelector("[data-do=play]").textContent = this.wanted ? "Pause" : "Play";
  }

  align() {
    const { leader } = this;
    const { currentTime, duration } = leader;
    for (const video of this.able) {
      if (video === leader) continue;
      const its = Math.min(currentTime, video.duration || currentTime);
      if (!video.seeking && Math.abs(video.currentTime - its) > DRIFT_SECONDS) video.currentTime = its;
    }
    const bar = this.dialog.querySelector("input");
    bar.max = duration || 1;
    bar.value = currentTime;
  }

  seek(seconds) {
    this.go(this.leader.currentTime + seconds);
  }

  go(time) {
    for (const video of this.able) video.currentTime = Math.max(0, Math.min(time, video.duration || time));
  }

  /** This one is heard, and no other. */
  hear(at) {
    this.heard = at % this.videos.length;
    this.muted = false;
    this.sound();
  }

  mute() {
    this.muted = !this.muted;
    this.sound();
  }

  sound() {
    for (const [at, video] of this.videos.entries()) video.muted = this.muted || at !== this.heard;
    for (const button of this.dialog.querySelectorAll("[data-hear]")) {
      button.setAttribute("aria-pressed", String(!this.muted && Number(button.dataset.hear) === this.heard));
    }
  }

  /** A link may have ended: once it is fetched anew and goes on where the others are; then it is for the person to say. */
  async broke(at) {
    if (!this.dialog.open || !this.videos[at].getAttribute("src")) return;
    if (this.refreshed.has(at)) return this.sayBroken(at);
    this.refreshed.add(at);
    const time = Math.max(...this.videos.map((video) => video.currentTime));
    try {
      await refreshLinks(this.scenes[at]);
      if (this.dialog.open) this.load(at, time);
    } catch (error) {
      if (this.dialog.open) this.sayBroken(at, error.message);
    }
  }

  load(at, time) {
    const video = this.videos[at];
    this.broken.delete(at);
    this.placeOf(at).hidden = true;
    video.addEventListener("loadedmetadata", () => (video.currentTime = Math.min(time, video.duration)), { once: true });
    video.src = safeUrl(this.scenes[at].video_url);
  }

  /** The others go on without it. */
  sayBroken(at, why = "The video cannot be played.") {
    this.broken.add(at);
    render(this.placeOf(at), html`<p>${why}</p><button type="button" data-again="${at}">Try again</button>`);
    this.placeOf(at).hidden = false;
    this.keepUp();
  }

  again(at) {
    this.refreshed.delete(at);
    this.broke(at);
  }

  placeOf(at) {
    return this.dialog.querySelectorAll(".broken")[at];
  }

  stop() {
    for (const video of this.videos) {
      video.removeAttribute("src");
      video.load();
    }
  }
}

const MARKS = {
  same: (text) => html`${text}`,
  removed: (text) => html`<del><span class="hidden">[not here: </span>${text}<span class="hidden">]</span></del>`,
  added: (text) => html`<ins><span class="hidden">[here: </span>${text}<span class="hidden">]</span></ins>`,
};

function frame(number, shown) {
  const first = shown[0].scene.sora_prompt ?? "";
  return html`<dialog class="compare" aria-labelledby="compare-title">
    <header>
      <h2 id="compare-title">Scene ${number}, side by side</h2>
      <button type="button" class="quiet" data-do="close" aria-label="Close">×</button>
    </header>
    <div class="side" data-count="${shown.length}">
      ${shown.map(
        ({ variant, scene }, at) => html`<section>
          <h3>${variant} <button type="button" class="quiet" data-hear="${at}" aria-pressed="false" aria-label="Hear ${variant}">Sound</button></h3>
          <video src="${safeUrl(scene.video_url)}" playsinline preload="auto" muted tabindex="-1" aria-label="${variant}"></video>
          <div class="broken" role="alert" hidden></div>
          <p class="prompt" dir="auto" tabindex="0">${at === 0 ? first : wordDiff(first, scene.sora_prompt ?? "").map(({ kind, text }) => MARKS[kind](text))}</p>
        </section>`,
      )}
    </div>
    <p class="actions">
      <button type="button" data-do="play" autofocus>Play</button>
      <input type="range" min="0" max="1" step="0.01" value="0" aria-label="Time in seconds" />
    </p>
  </dialog>`;
}
