/** The player: one scene after another, by keyboard too. */

import { downloadScene } from "./downloads.js";
import { bytes, duration, sourceName } from "./format.js";
import { element, html, render, safeUrl } from "./html.js";
import { bind } from "./keys.js";
import { refreshLinks } from "./links.js";
import { address, current, rename } from "./router.js";
import { toast } from "./toast.js";

/** Clips that are shorter go round. */
const SHORT_SECONDS = 15;
const FRAME_SECONDS = 1 / 24;
/** A link that ends so soon is fetched anew before it is used. */
const SOON_MS = 10_000;

/** Opens on a scene of the generation at a time in seconds; resolves once it is closed, or where there is no video. */
export function openPlayer(options) {
  const { variants } = options.generation;
  if (!variants.some(({ scenes }) => scenes.some((scene) => scene.video_url))) {
    toast("There is no video to play yet.");
    return Promise.resolve();
  }
  const player = new Player(options);
  return new Promise((resolve) => player.dialog.addEventListener("close", resolve));
}

class Player {
  constructor({ generation, variant, scene, time = 0 }) {
    this.generation = generation;
    this.dialog = element(frame());
    this.video = this.dialog.querySelector("video");
    this.listen();
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.open(variant, scene, time);
  }

  /** What can be played, in order. */
  get list() {
    return this.generation.variants.flatMap((variant) =>
      variant.scenes.filter((scene) => scene.video_url).map((scene) => ({ variant: variant.variant_type, scene })),
    );
  }

  get at() {
    return this.list.findIndex(({ variant, scene }) => variant === this.variant && scene.scene_number === this.number);
  }

  get scene() {
    return this.list[this.at]?.scene;
  }

  listen() {
    const { dialog, video } = this;
    bind("player", dialog, {
      " ": () => this.playOrPause(),
      ArrowLeft: () => this.seek(-1),
      ArrowRight: () => this.seek(1),
      ",": () => this.frame(-1),
      ".": () => this.frame(1),
      p: () => this.step(-1),
      n: () => this.step(1),
      ...Object.fromEntries([1, 2, 3, 4].map((number) => [String(number), () => this.open(this.variant, number)])),
      v: () => this.nextVariant(),
      m: () => (video.muted = !video.muted),
      f: () => this.fullScreen(),
      d: () => downloadScene(this.scene, this.generation),
      c: () => this.copyLink(),
    });
    dialog.addEventListener("click", ({ target, detail }) => {
      const action = target.closest("button")?.dataset.do;
      if (!action) return;
      this[action]();
      // After a click of the mouse, Space is for the video again.
      if (detail) video.focus({ preventScroll: true });
    });
    dialog.addEventListener("close", () => this.closed());
    video.addEventListener("error", () => this.broke());
    video.addEventListener("loadedmetadata", () => this.loaded());
    video.addEventListener("ended", () => this.step(1, { round: false }));
  }

  /** Shows a scene; where there is no such video, says so and stays, or begins with the first there is. */
  open(variant, number, time = 0) {
    const asked = this.list.find((one) => one.variant === variant && one.scene.scene_number === number);
    if (!asked) toast(`There is no video of ${variant} scene ${number}.`);
    const found = asked ?? (this.scene ? null : this.list[0]);
    if (!found) return;
    Object.assign(this, { variant: found.variant, number: found.scene.scene_number, start: asked ? time : 0, refreshed: false });
    this.say();
    this.load();
    rename({ generation: this.generation.id, play: this.play });
  }

  get play() {
    return `${this.variant}-${this.number}`;
  }

  /** Loads the scene, and plays it unless it is to stand still. */
  async load({ still = false } = {}) {
    const { scene } = this;
    this.dialog.querySelector(".broken").hidden = true;
    if (Date.parse(scene.expires_at) - Date.now() < SOON_MS) {
      this.video.pause();
      await refreshLinks(scene).catch(() => null);
    }
    if (!this.isOn(scene)) return;
    this.video.src = safeUrl(scene.video_url);
    if (!still) this.video.play().catch(() => null);
  }

  /** Whether this is still what is looked at, after something took its time. */
  isOn(scene) {
    return this.dialog.open && scene === this.scene;
  }

  loaded() {
    this.video.loop = this.video.duration <= SHORT_SECONDS;
    if (this.start) this.video.currentTime = Math.min(this.start, this.video.duration || this.start);
    this.start = 0;
  }

  /** The link may have ended: once it is fetched anew and goes on where it was; then it is for the person to say. */
  async broke({ again = false } = {}) {
    if (!this.video.getAttribute("src")) return;
    if (this.refreshed) return this.sayBroken();
    this.refreshed = true;
    const { scene } = this;
    const still = !again && this.video.paused && this.video.currentTime > 0;
    this.start = this.video.currentTime || this.start;
    try {
      await refreshLinks(scene);
      if (this.isOn(scene)) this.load({ still });
    } catch (error) {
      if (this.isOn(scene)) this.sayBroken(error.message);
    }
  }

  sayBroken(why = "The video cannot be played.") {
    const place = this.dialog.querySelector(".broken");
    render(place, html`<p>${why}</p><button type="button" data-do="again">Try again</button>`);
    place.hidden = false;
  }

  again() {
    this.refreshed = false;
    this.broke({ again: true });
  }

  say() {
    const { scene, dialog } = this;
    const facts = [duration(scene.duration), scene.resolution, bytes(scene.file_size)].filter(Boolean).join(" · ");
    dialog.querySelector("h2").textContent = `${this.variant}, scene ${this.number}`;
    dialog.querySelector(".facts").textContent = facts;
    dialog.querySelector(".name").textContent = sourceName(this.generation.source_video_url);
    dialog.querySelector(".prompt").textContent = scene.sora_prompt ?? "";
    dialog.querySelector("[data-do=previous]").disabled = this.at === 0;
    dialog.querySelector("[data-do=next]").disabled = this.at === this.list.length - 1;
    this.video.poster = scene.thumbnail_url ? safeUrl(scene.thumbnail_url) : "";
  }

  step(by, { round = true } = {}) {
    const to = this.at + by;
    const next = this.list[round ? (to + this.list.length) % this.list.length : to];
    if (next) this.open(next.variant, next.scene.scene_number);
  }

  previous() {
    this.step(-1);
  }

  next() {
    this.step(1);
  }

  nextVariant() {
    const there = this.list.filter(({ scene }) => scene.scene_number === this.number).map(({ variant }) => variant);
    this.open(there[(there.indexOf(this.variant) + 1) % there.length], this.number, this.video.currentTime);
  }

  playOrPause() {
    if (this.video.paused) this.video.play().catch(() => null);
    else this.video.pause();
  }

  seek(seconds) {
    const { video } = this;
    video.currentTime = Math.max(0, Math.min(video.duration || 0, video.currentTime + seconds));
  }

  frame(by) {
    this.video.pause();
    this.seek(by * FRAME_SECONDS);
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.video.requestFullscreen?.().catch(() => toast("Full screen is not allowed here."));
  }

  download() {
    downloadScene(this.scene, this.generation);
  }

  async copyLink() {
    const time = Math.round(this.video.currentTime * 10) / 10;
    const link = new URL(address({ generation: this.generation.id, play: this.play, t: time || null }), location.href).href;
    try {
      await navigator.clipboard.writeText(link);
      toast("Link to this moment copied");
    } catch {
      toast(link, { seconds: 30 });
    }
  }

  close() {
    this.dialog.close();
  }

  closed() {
    this.video.removeAttribute("src");
    this.video.load();
    this.dialog.remove();
    // Going back closes it too, and then the address is another's.
    if (current().generation === this.generation.id) rename({ generation: this.generation.id });
  }
}

const frame = () => html`<dialog class="player" aria-labelledby="player-title">
  <header>
    <div><h2 id="player-title"></h2><p class="quiet"><bdi class="name"></bdi> <span class="facts"></span></p></div>
    <button type="button" class="quiet" data-do="close" aria-label="Close">×</button>
  </header>
  <div class="screen"><video controls playsinline preload="auto" autofocus></video><div class="broken" role="alert" hidden></div></div>
  <p class="actions">
    <button type="button" class="quiet" data-do="previous" aria-label="Scene before">← Before</button>
    <button type="button" class="quiet" data-do="next" aria-label="Next scene">Next →</button>
    <button type="button" class="quiet" data-do="nextVariant">Variant</button>
    <button type="button" class="quiet" data-do="download">Download</button>
    <button type="button" class="quiet" data-do="copyLink">Copy link</button>
  </p>
  <p class="prompt" dir="auto" tabindex="0"></p>
</dialog>`;
