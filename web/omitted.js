/** What was too large for one answer is fetched where the answer says it is. */

import { get } from "./api.js";

/** The generation with its prompts, scenes and metadata, which may take more requests. */
export async function loadOmitted(generation) {
  if (!generation.prompts_omitted && !generation.scenes_omitted && !generation.metadata_omitted) return generation;
  const variants =
    generation.prompts_omitted || generation.scenes_omitted
      ? await Promise.all(generation.variants.map(async (variant) => ({ ...variant, scenes: await scenesOf(variant) })))
      : generation.variants;
  const metadata = generation.metadata_omitted ? await metadataOf(generation) : generation.metadata;
  return { ...generation, variants, metadata };
}

async function scenesOf(variant) {
  const scenes = [];
  for (let after = 0; after !== null; ) {
    const page = await get(`/history/variants/${variant.id}/scenes`, { params: { after } });
    scenes.push(...page.scenes);
    after = page.next_after;
  }
  const before = new Map(variant.scenes.map((scene) => [scene.id, scene]));
  return scenes.map((scene) => ({ ...before.get(scene.id), ...scene }));
}

async function metadataOf({ metadata_urls: urls }) {
  const kinds = await Promise.all(Object.entries(urls ?? {}).map(async ([kind, url]) => [kind, await whole(url)]));
  return Object.fromEntries(kinds);
}

async function whole(url) {
  let text = "";
  for (let offset = 0; offset !== null; ) {
    const part = await get(url, { params: { offset } });
    text += part.json;
    offset = part.next_offset;
  }
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
