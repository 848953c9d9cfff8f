/** Deleting generations, which can be undone: the server keeps them for 30 days. */

import { post, remove } from "./api.js";
import { toast } from "./toast.js";

/** Deletes them one after another. hide(ids) takes them out of sight at once and returns what brings them back. */
export async function removeGenerations(ids, { hide = () => () => null, deleted = () => null, restored = () => null } = {}) {
  let bringBack = hide(ids);
  const gone = [];
  let error = null;
  for (const id of ids) {
    try {
      await remove(`/history/generations/${id}`);
      gone.push(id);
    } catch (failure) {
      // Someone else may have deleted it a moment ago.
      if (failure.status !== 404) error = failure;
    }
  }
  if (error) {
    bringBack();
    if (!gone.length) return toast(`Nothing was deleted: ${error.message}`);
    bringBack = hide(gone);
  }
  deleted();
  if (!gone.length) return toast("It was deleted already");
  const said = error ? `${count(gone)} deleted, not the others: ${error.message}` : `${count(gone)} deleted`;
  toast(said, { action: { label: "Undo", run: () => undo(gone, bringBack, restored) }, seconds: 15 });
}

async function undo(ids, bringBack, restored) {
  try {
    for (const id of ids) await restore(id);
    bringBack();
    restored();
    toast(`${count(ids)} restored`);
  } catch (error) {
    toast(`Not restored: ${error.message}`, { action: { label: "Try again", run: () => undo(ids, bringBack, restored) } });
  }
}

/** It is not deleted any more; a repeat, whose first answer was lost, is 404. */
const restore = (id) =>
  post(`/history/generations/${id}/restore`).catch((error) => {
    if (error.status !== 404) throw error;
  });

const count = (ids) => (ids.length === 1 ? "1 generation" : `${ids.length} generations`);
