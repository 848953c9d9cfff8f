/** Variants of one scene side by side: playing in step, one of them heard, their prompts' differences marked. */

import { wordDiff } from "./diff.js";
import { element, html, safeUrl } from "./html.js";
import { bind } from "./keys.js";
import { rename } from "./router.js";

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
  const together = new Together([...dialog.querySelectorAll("video")], dialog);
  bind("compare", dialog, {
    " ": () => together.playOrPause(),
    ArrowLeft: () => together.seek(-1),
    ArrowRight: () => together.seek(1),
    v: () => together.hear(together.heard + 1),
    m: () => together.mute(),
  });
  dialog.addEventListener("click", ({ target }) => {
    const { dataset } = target.closest("button") ?? { dataset: {} };
    if (dataset.do === "close") dialog.close();
    if (dataset.do === "play") together.playOrPause();
    if (dataset.hear) together.hear(Number(dataset.hear));
  });
  dialog.querySelector("input").addEventListener("input", ({ target }) => together.go(Number(target.value)));
  rename({ generation: generation.id, compare: scene });
  dialog.showModal();
  together.play();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => {
      together.stop();
      dialog.remove();
      rename({ generation: generation.id });
      resolve();
    }),
  );
}

/** Videos that play as one: the first leads, the others keep to it, and all wait for the slowest. */
class Together {
  constructor(videos, dialog) {
    Object.assign(this, { videos, dialog, wanted: false, heard: 0, muted: true });
    for (const video of videos) {
      for (const happened of ["waiting", "stalled", "canplay", "seeked"]) video.addEventListener(happened, () => this.keepUp());
    }
    this.leader.addEventListener("timeupdate", () => this.align());
    this.leader.addEventListener("ended", () => (this.go(0), this.keepUp()));
    this.sound();
  }

  get leader() {
    return this.videos[0];
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

  /** All play once all can; else none does. */
  keepUp() {
    const ready = this.videos.every((video) => video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA && !video.seeking);
    for (const video of this.videos) {
      if (!this.wanted || !ready) video.pause();
      else if (video.paused && !video.ended) video.play().catch(() => null);
    }
    this.dialog.querySelector("[data-do=play]").textContent = this.wanted ? "Pause" : "Play";
  }

  align() {
    const { currentTime, duration } = this.leader;
    for (const video of this.videos.slice(1)) {
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
    for (const video of this.videos) video.currentTime = Math.max(0, Math.min(time, video.duration || time));
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
