/** Asks again and again: soon while things change, seldom while they do not, not at all while nobody looks. */

const SOONEST_MS = 2_000;
const SELDOM_MS = 60_000;

/** Calls look() until stop() is called; look resolves to whether anything changed, a rejection counts as no. */
export function live(look) {
  let pause = SOONEST_MS;
  let timer = null;
  let stopped = false;

  async function turn() {
    if (stopped || document.hidden) return;
    const changed = await look().catch(() => false);
    pause = changed ? SOONEST_MS : Math.min(SELDOM_MS, pause * 1.5);
    plan();
  }

  function plan() {
    clearTimeout(timer);
    if (!stopped && !document.hidden) timer = setTimeout(turn, pause);
  }

  function seen() {
    pause = SOONEST_MS;
    plan();
  }

  document.addEventListener("visibilitychange", seen);
  plan();
  return {
    /** Looks again soon: something was done. */
    soon: seen,
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    },
  };
}
