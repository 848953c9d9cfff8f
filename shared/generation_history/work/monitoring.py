"""Monitoring: what operators watch: who ran when, how the providers are, and how much there is to do."""

from collections.abc import Sequence
from typing import cast

from generation_history.db.database import Database
from generation_history.models import Health, ProviderState
from generation_history.recordable import recordable

#: A scene whose step failed so often in a row, for some ten minutes, needs somebody to look.
STUCK_FAILURES = 8


class Monitoring:
    """Heartbeats, the providers' states and the gauges over all owners, as the login history_worker sees them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def heartbeat(self, name: str) -> None:
        """What runs on a schedule has just begun to run."""
        upsert = "insert into pulses (name) values (%(name)s) on conflict (name) do update set at = now()"
        self._db.run(None, (upsert, {"name": name}))

    def record_provider_state(
        self, base_url: str, state: ProviderState, reason: str | None, *, took_a_post: bool = True
    ) -> bool:
        """Whether that is news: the provider was in another state before.

        One that refused us, perhaps for want of balance, may answer everything but POSTs: while something waits to be
        posted, only a POST that it takes ends that.
        """
        upsert = """
            insert into provider_states (base_url, state, reason) values (%(base_url)s, %(state)s, %(reason)s)
            on conflict (base_url) do update set state = excluded.state, reason = excluded.reason, since = now()
                where provider_states.state <> excluded.state
                    and (%(took_a_post)s or provider_states.state <> 'refused'
                        or not exists (select from jobs where step in ('submit', 'find')))
            returning 1
        """
        params = {"base_url": base_url, "state": state, "reason": None if reason is None else recordable(reason)}
        return bool(self._db.run(None, (upsert, params | {"took_a_post": took_a_post})))

    def forget_providers(self, *, base_urls: Sequence[str]) -> None:
        """The states of all servers but these are removed: no poller asks the others any more."""
        query = "delete from provider_states where base_url <> all (%(base_urls)s)"
        self._db.run(None, (query, {"base_urls": list(base_urls)}))

    def health(self) -> Health:
        """What there is to do and how it goes, over all owners, as GET /ops/health shows it."""
        query = """
            select
                (select extract(epoch from now() - at)::float from pulses where name = 'poller') as seconds_since_poll,
                (select extract(epoch from now() - at)::float from pulses where name = 'purge') as seconds_since_purge,
                (select count(*) from jobs) as backlog,
                (select count(*) from jobs where step = 'submit') as backlog_to_submit,
                -- What a limit holds back stays due, and says so.
                (select coalesce(extract(epoch from now() - min(run_at))::float, 0) from jobs
                    where run_at < now() and (step <> 'submit' or last_error is null)) as oldest_due_seconds,
                -- A busy provider refuses POSTs for as long as it is busy.
                (select count(*) from jobs where step <> 'submit' and failures >= %(stuck)s) as stuck,
                (select last_error from jobs where step <> 'submit' and failures >= %(stuck)s
                    order by failures desc limit 1) as stuck_reason,
                (select extract(epoch from min(expires_at) - now())::float from jobs) as soonest_expiry_seconds,
                (select coalesce(json_object_agg(error_code, number), '{}') from (
                    select error_code, count(*) as number from attempts
                    where error_code is not null and finished_at > now() - interval '1 day'
                    group by error_code) f) as failures_by_code,
                (select coalesce(json_agg(json_build_object('base_url', base_url, 'state', state, 'reason', reason,
                    'since', since, 'seconds', extract(epoch from now() - since)::float) order by base_url), '[]')
                    from provider_states) as providers
        """
        return cast("Health", self._db.run(None, (query, {"stuck": STUCK_FAILURES}))[0])
