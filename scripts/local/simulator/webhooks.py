"""What brings each job's events to the URLs that its POST named: signed, tried again, and as wrong as a fault says."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, TypedDict

import requests

from scripts.local.simulator.faults import Faults
from scripts.local.simulator.job import Job
from scripts.local.simulator.kind import Kind, Occasion
from scripts.local.simulator.service import Service

TIMEOUT_SECONDS = 10
#: An early event is sent once the job is over, for which its POST waits so long at most.
EARLY_SECONDS = 30
_LOOK_SECONDS = 0.05

#: waiting to be sent; delivered: the receiver took it; refused: by a redirect, or too often; lost: by a fault.
State = Literal["waiting", "delivered", "refused", "lost"]

_SCHEMA = """
    create table if not exists deliveries (
        seq integer primary key autoincrement,
        kind text not null,
        job_id text not null,
        occasion text not null,
        url text not null,
        fault text,
        late_seconds real not null,
        due_at real not null default 0,
        tries integer not null default 0,
        last_status integer,
        state text not null
    )
"""
_INSERT = """
    insert into deliveries (kind, job_id, occasion, url, fault, late_seconds, state)
    values (:kind, :job_id, :occasion, :url, :fault, :late_seconds, :state)
"""
_TRIED = """
    update deliveries set state = :state, tries = tries + 1, last_status = :status, due_at = :due_at where seq = :seq
"""


class Delivery(TypedDict):
    """One event for one URL, and what became of it so far."""

    seq: int
    kind: str
    job_id: str
    occasion: Occasion
    url: str
    fault: str | None
    late_seconds: float
    due_at: float
    tries: int
    last_status: int | None
    state: State


@dataclass
class Webhooks:
    """The deliveries of one simulator; what a killed process left waiting goes on with the next."""

    service: Service
    kinds: Mapping[str, Kind]
    faults: Faults

    def __post_init__(self) -> None:
        self._wake = threading.Event()
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="webhooks")
        with self.service.jobs.transaction() as connection:
            connection.execute(_SCHEMA)

    def start(self) -> None:
        """From now on what is due is sent."""
        self._wake.set()
        self._thread.start()

    def close(self) -> None:
        """Nothing is sent any more; the service's end_event has to be set before."""
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def announce(self, job: Job) -> None:
        """The new job's events are planned; an early one has been sent."""
        armed = self.faults.strike(job.kind, "webhook")
        fault = armed.fault.kind if armed else None
        plan = {
            "kind": job.kind,
            "job_id": job.id,
            "fault": fault,
            "late_seconds": armed.fault.seconds if armed and fault == "late" else 0.0,
            "state": "lost" if fault == "lost" else "waiting",
        }
        if fault == "early":
            self.service.jobs.hurry(job.id)
            self._await_end(job)
        with self.service.jobs.transaction() as connection:
            for occasion in self.kinds[job.kind].occasions(job):
                for url in _urls(job):
                    connection.execute(_INSERT, {**plan, "occasion": occasion, "url": url})
        if fault == "early":
            self._send_due(of=job.id)
        self._wake.set()

    def every(self) -> list[Delivery]:
        """Every delivery that was ever planned, oldest first."""
        with self.service.jobs.transaction() as connection:
            rows = connection.execute("select * from deliveries order by seq").fetchall()
        return [Delivery(**dict(row)) for row in rows]

    def send_again(self, job_id: str) -> list[int | None]:
        """What the URLs answer to the job's last event, which is sent to each of them now."""
        return [
            self._send(each) for each in self.every() if (each["job_id"], each["occasion"]) == (job_id, "completed")
        ]

    def _run(self) -> None:
        while not self.service.end_event.is_set():
            self._wake.wait()
            self._wake.clear()
            while self._waiting() and not self.service.end_event.wait(_LOOK_SECONDS):
                self._send_due()

    def _waiting(self) -> list[Delivery]:
        with self.service.jobs.transaction() as connection:
            rows = connection.execute("select * from deliveries where state = 'waiting' order by seq").fetchall()
        return [Delivery(**dict(row)) for row in rows]

    def _send_due(self, *, of: str | None = None) -> None:
        # An early event is sent by the thread of its POST; without the lock, this thread and that one would both send.
        with self._sending:
            for delivery in self._waiting():
                if of in {None, delivery["job_id"]} and self._is_due(delivery):
                    self._try(delivery)

    def _is_due(self, delivery: Delivery) -> bool:
        job, now = self._job(delivery), self.service.jobs.clock()
        if job is None or now < delivery["due_at"]:
            return job is None
        moment = job.starts_at if delivery["occasion"] == "start" else job.finished_at()
        return now >= moment + delivery["late_seconds"]

    def _try(self, delivery: Delivery) -> None:
        status = self._send(delivery)
        if delivery["fault"] == "double":
            self._send(delivery)
        waits = self.kinds[delivery["kind"]].webhook_waits
        state: State = "waiting"
        if status is not None and status < HTTPStatus.BAD_REQUEST:
            state = "delivered" if status < HTTPStatus.MULTIPLE_CHOICES else "refused"
        elif delivery["tries"] >= len(waits):
            state = "refused"
        wait = waits[delivery["tries"]] if state == "waiting" else 0.0
        values = {"seq": delivery["seq"], "state": state, "status": status, "due_at": self.service.jobs.clock() + wait}
        with self.service.jobs.transaction() as connection:
            connection.execute(_TRIED, values)

    def _send(self, delivery: Delivery) -> int | None:
        """The status that the receiver answers; None if there is no answer, or nothing to tell."""
        job = self._job(delivery)
        event = self.kinds[delivery["kind"]].event(job, delivery["occasion"], delivery["url"]) if job else None
        if event is None:
            return HTTPStatus.NO_CONTENT
        headers = {"Content-Type": "application/json", **event.headers}
        try:
            answer = requests.post(
                delivery["url"], event.body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False
            )
        except (requests.RequestException, ValueError):
            return None
        return answer.status_code

    def _job(self, delivery: Delivery) -> Job | None:
        return self.service.jobs.get(delivery["job_id"], kind=delivery["kind"])

    def _await_end(self, job: Job) -> None:
        for _ in range(int(EARLY_SECONDS / _LOOK_SECONDS)):
            current = self.service.jobs.get(job.id, kind=job.kind)
            if current is None or current.is_over(self.service.jobs.clock()):
                return
            if self.service.end_event.wait(_LOOK_SECONDS):
                return


def _urls(job: Job) -> Iterator[str]:
    """The URLs that the POST named, of which there may be several."""
    named = job.detail("webhook")
    yield from [named] if isinstance(named, str) else named
