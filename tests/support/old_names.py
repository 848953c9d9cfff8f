"""The names that migration 009 took from functions, and those that it gave them."""

#: What is deployed while a deployment rolls still calls the old names; a later migration drops them.
OLD_NAMES = {
    "abandon_untouched": "fail_stale_generations",
    "admit_submission": "reserve_budget",
    "fold_stats": "merge_stats_deltas",
    "go_on_with_late_attempt": "resume_late_attempt",
    "hold_intent": "check_submit_intent",
    "hold_lease": "check_lease",
    "keep_late_answer": "record_late_answer",
    "may_post": "check_may_submit",
    "open_generation": "lock_live_generation",
    "record_once": "record_idempotency_key",
}
