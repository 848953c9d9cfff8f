"""What could not be recorded is kept in order, survives a crash, and is performed once and removed."""

import fcntl
import json
import logging
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from generation_history.errors import DuplicateRequest, InvalidValue, Unavailable
from generation_history.record.spool import Entry, Spool

OWNER = "018f0000-0000-7000-8000-000000000001"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "a" / "b" / "spool.jsonl")


def entry(name: str, owner: str = OWNER) -> Entry:
    return Entry.of(owner, "018f0000-0000-7000-8000-000000000002", name, text="a\n\ud800\u2028")


def calls(spool: Spool, owner: str = OWNER) -> list[str]:
    performed: list[str] = []
    spool.replay(owner, lambda one: performed.append(one.call))
    return performed


def test_what_is_appended_is_performed_in_order_and_then_gone(spool):
    made = [entry(name) for name in "abc"]
    for one in made:
        spool.append(one)
    performed: list[Entry] = []

    assert spool.replay(OWNER, performed.append) == 3

    assert performed == made
    assert not spool.path.exists()
    assert spool.replay(OWNER, performed.append) == 0


def test_nobody_else_reads_the_file(spool):
    spool.append(entry("a"))

    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.path.parent.stat().st_mode) == 0o700


def test_an_entry_is_on_the_disk_before_append_returns(spool, monkeypatch):
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)

    spool.append(entry("a"))

    # The file, and its name in the folder.
    assert len(synced) == 2


def test_a_database_that_goes_away_again_leaves_the_entry_and_those_after_it(spool):
    for name in "abc":
        spool.append(entry(name))

    def perform(one: Entry) -> None:
        if one.call == "b":
            raise Unavailable("away")

    with pytest.raises(Unavailable):
        spool.replay(OWNER, perform)

    assert calls(spool) == ["b", "c"]


def test_a_crash_between_performing_and_removing_performs_again_and_counts_once(spool):
    spool.append(entry("a"))
    spool.append(entry("b"))
    record: set[str] = set()

    def perform(one: Entry) -> None:
        if one.key in record:
            raise DuplicateRequest(one.generation_id)
        record.add(one.key)

    before = spool.path.read_bytes()
    spool.replay(OWNER, perform)
    # As it was when the process died before it removed them.
    spool.path.write_bytes(before)

    assert spool.replay(OWNER, perform) == 2
    assert len(record) == 2
    assert not spool.path.exists()
    assert not spool.refused_path.exists()


def test_an_entry_that_is_refused_stops_no_other_and_is_kept(spool, caplog):
    for name in "abc":
        spool.append(entry(name))
    performed = []

    def perform(one: Entry) -> None:
        if one.call == "b":
            raise InvalidValue("not so")
        performed.append(one.call)

    spool.replay(OWNER, perform)

    assert performed == ["a", "c"]
    assert json.loads(spool.refused_path.read_text())["call"] == "b"
    assert [(record.levelno, str(spool.refused_path) in record.message) for record in caplog.records] == [
        (logging.ERROR, True)
    ]


def test_a_line_that_a_crash_left_unfinished_harms_neither_those_before_it_nor_after_it(spool):
    spool.append(entry("a"))
    with spool.path.open("a") as file:
        file.write('{"key": "half')
    spool.append(entry("b"))

    assert calls(spool) == ["a", "b"]
    assert spool.refused_path.read_text() == '{"key": "half\n'


def test_another_owners_entries_stay(spool):
    other = OWNER.replace("1", "3")
    spool.append(entry("a", other))
    spool.append(entry("b"))

    assert calls(spool) == ["b"]
    assert calls(spool, other) == ["a"]


def test_many_at_once_lose_nothing_and_perform_nothing_twice(spool):
    performed: list[str] = []

    def work(number: int) -> None:
        spool.append(entry(str(number)))
        spool.replay(OWNER, lambda one: performed.append(one.call))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(40)))

    assert sorted(performed, key=int) == [str(number) for number in range(40)]


def test_another_process_waits_for_its_turn(spool):
    spool.append(entry("a"))
    code = f"""
from pathlib import Path
from generation_history.record.spool import Spool
print("waits", flush=True)
Spool(Path({str(spool.path)!r})).replay({OWNER!r}, lambda one: print(one.call, flush=True))
"""
    with Path(f"{spool.path}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        spool.path.write_text(json.dumps({**json.loads(spool.path.read_text()), "call": "changed"}) + "\n")

    assert process.communicate() == ("changed\n", None)
