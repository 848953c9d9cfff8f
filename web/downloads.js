/** Downloads: one video, a generation as a zip, several generations one after another. */

import { get, linkTo, post } from "./api.js";
import { bytes, sourceName } from "./format.js";
import { element, html, safeUrl } from "./html.js";
import { refreshLinks } from "./links.js";
import { addLine, toast } from "./toast.js";
import { currentToken } from "./token.js";

const SOONEST_MS = 700;
const SELDOM_MS = 10_000;
const MAX_FAILURES = 5;

/** Keeps one video, under a name that tells what it is. */
export async function downloadScene(scene, generation) {
  // The permanent link names the file by itself, but a link carries no token.
  if (!(await currentToken())) return save(linkTo(`/history/scenes/${scene.id}/video?download=1`));
  const { variant_type: variant } = generation.variants.find(({ id }) => id === scene.variant_id);
  const name = `${sourceName(generation.source_video_url).replace(/\.\w{1,5}$/, "")}_${variant}_scene-${scene.scene_number}.mp4`;
  try {
    const url = URL.createObjectURL(await fetched(scene));
    save(url, name);
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } catch (error) {
    toast(`${name} was not downloaded: ${error.message}`, { action: { label: "Open it", run: () => open(safeUrl(scene.video_url), "_blank", "noopener") } });
  }
}

/** The video from the store; a link that ended meanwhile is fetched anew, once. */
async function fetched(scene) {
  const first = await ask(scene).catch(() => null);
  if (first?.ok) return content(first);
  await refreshLinks(scene);
  const second = await ask(scene).catch(() => {
    // A browser does not tell which of these it was.
    throw new Error("the store cannot be reached, or its CORS rules do not let this page read it.");
  });
  if (!second.ok) throw new Error(`the store answered ${second.status}`);
  return content(second);
}

/** Past the browser's cache: what a player put there came without CORS headers, which a store sends only where it is
 *  asked with an Origin, and a page may not read it. */
async function ask({ video_url: given }) {
  const url = safeUrl(given);
  if (url === "#") throw new Error("no link");
  return fetch(url, { credentials: "omit", cache: "no-store" });
}

const content = (response) =>
  response.blob().catch(() => {
    throw new Error("it broke off on its way.");
  });

/** Keeps a generation's videos as one zip, once the server has made it; progress is shown. Whether it came to that. */
export async function downloadGeneration(generation, { queue = "" } = {}) {
  const name = sourceName(generation.source_video_url);
  const shown = showProgress(`${queue}${name}`);
  try {
    const ready = await built(generation.id, shown);
    if (!ready) return false;
    save(safeUrl(ready.url));
    shown.done(`${name}: ${bytes(ready.size)}`);
    return true;
  } catch (error) {
    if (shown.stopped) return false;
    shown.close();
    toast(`${name}: ${error.message}`, { action: { label: "Try again", run: () => downloadGeneration(generation) }, seconds: 15 });
    return false;
  }
}

/** Keeps several, one after another, so that the server makes one zip at a time. */
export async function downloadSeveral(generations) {
  const withVideos = generations.filter((one) => one.variants.some((variant) => variant.scenes_completed > 0));
  if (!withVideos.length) return toast("None of these has a video yet.");
  for (const [at, generation] of withVideos.entries()) {
    const queue = withVideos.length > 1 ? `${at + 1} of ${withVideos.length}: ` : "";
    await downloadGeneration(generation, { queue });
  }
}

async function built(id, shown) {
  const path = `/history/generations/${id}/download`;
  let failures = 0;
  let pause = SOONEST_MS;
  let state = await post(path);
  while (state.status !== "ready") {
    shown.tell(state);
    if (shown.stopped || (await shown.stoppedWithin(pause))) return null;
    pause = Math.min(SELDOM_MS, pause * 1.3);
    try {
      state = await get(path);
      failures = 0;
    } catch (error) {
      failures += 1;
      if (failures === MAX_FAILURES || isFinal(error)) throw error;
      pause = Math.max(pause, (error.retryAfter ?? 0) * 1000);
    }
  }
  return shown.stopped ? null : state;
}

/** Asking again would be answered the same; too many calls are only too many for a while. */
const isFinal = ({ status }) => status >= 400 && status < 500 && status !== 429;

function showProgress(name) {
  const line = element(html`<div class="toast download">
    <span><bdi>${name}</bdi><span class="quiet" data-told> is being packed…</span></span>
    <progress aria-label="Packing ${name}"></progress>
    <button type="button" class="quiet">Stop</button>
  </div>`);
  let stopped = false;
  let wake = null;
  line.querySelector("button").addEventListener("click", () => ((stopped = true), line.remove(), wake?.()));
  addLine(line);
  return {
    get stopped() {
      return stopped;
    },
    tell({ bytes: all, bytes_done: done }) {
      const bar = line.querySelector("progress");
      if (all) Object.assign(bar, { max: all, value: done ?? 0 });
      line.querySelector("[data-told]").textContent = all ? ` ${bytes(done ?? 0)} of ${bytes(all)}` : " is queued…";
    },
    stoppedWithin: (pause) =>
      new Promise((resolve) => {
        wake = () => resolve(stopped);
        setTimeout(wake, pause);
      }),
    done(text) {
      line.remove();
      toast(`Downloading ${text}`);
    },
    close: () => line.remove(),
  };
}

function save(url, name = "") {
  const link = element(html`<a href="${url}" download="${name}" rel="noopener">download</a>`);
  document.body.append(link);
  link.click();
  link.remove();
}
