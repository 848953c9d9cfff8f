/** A scene's signed links, which end. */

import { get } from "./api.js";

/** Guarantees that the scene has links as they are now; an error if it has no video any more. */
export async function refreshLinks(scene) {
  // From right before it: all of a variant's scenes may be more than one answer holds.
  const params = { after: scene.scene_number - 1 };
  const { scenes } = await get(`/history/variants/${scene.variant_id}/scenes`, { params });
  const fresh = scenes?.find(({ id }) => id === scene.id);
  if (!fresh?.video_url) throw new Error("This video is not there any more.");
  Object.assign(scene, { video_url: fresh.video_url, thumbnail_url: fresh.thumbnail_url, expires_at: fresh.expires_at });
}
