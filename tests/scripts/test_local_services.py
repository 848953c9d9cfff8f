"""The servers of the local stack keep what they are given, and leave with whoever started them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import psycopg
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from scripts.local import ports, process
from scripts.local.postgres import Postgres
from scripts.local.seaweedfs import SeaweedFS

CHECKOUT = Path(__file__).parents[2]
FILM = bytes(range(256)) * 4

# A developer's terminal, as far as the servers are concerned.
TERMINAL = """
import json, pathlib, signal, sys
from scripts.local.postgres import Postgres
from scripts.local.seaweedfs import SeaweedFS

home = pathlib.Path(sys.argv[1])
postgres = Postgres(home / "postgres", password="secret")
store = SeaweedFS(home / "store", access_key="key", secret_key="secret", bucket="videos")
postgres.start()
store.start()
print(json.dumps([[server._process.pid, server.port] for server in (postgres, store)]), flush=True)
signal.pause()
"""


def make_postgres(home, **overrides):
    return Postgres(home / "postgres", **{"password": "secret", "settings": {"fsync": "off"}, **overrides})


def make_store(home, **overrides):
    key = {"access_key": "key", "secret_key": "secret", "bucket": "videos"}
    return SeaweedFS(home / "store", **{**key, **overrides})


@pytest.fixture
def postgres(tmp_path):
    with make_postgres(tmp_path) as server:
        yield server


@pytest.fixture
def store(tmp_path):
    with make_store(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def shared_postgres(tmp_path_factory):
    with make_postgres(tmp_path_factory.mktemp("shared")) as server:
        yield server


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    with make_store(tmp_path_factory.mktemp("shared"), port=ports.free_port()) as server:
        s3(server).put_object(Bucket="videos", Key="film", Body=FILM)
        yield server


@pytest.fixture
def terminal(tmp_path):
    with subprocess.Popen([sys.executable, "-c", TERMINAL, tmp_path], cwd=CHECKOUT, stdout=subprocess.PIPE) as child:
        yield child
        child.kill()


@pytest.fixture
def taken_port():
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def s3(server, **overrides):
    key = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        config=Config(signature_version="s3v4"),
        **{**key, **overrides},
    )


def film_url(server, *, seconds):
    return s3(server).generate_presigned_url("get_object", {"Bucket": "videos", "Key": "film"}, seconds)


def write_film(server):
    if isinstance(server, SeaweedFS):
        s3(server).put_object(Bucket="videos", Key="film", Body=FILM)
    else:
        query(server, "create table film as select 'a film' as title")


def has_film(server):
    if isinstance(server, SeaweedFS):
        return s3(server).get_object(Bucket="videos", Key="film")["Body"].read() == FILM
    return query(server, "select title from film").fetchone() == ("a film",)


def query(server, statement):
    with psycopg.connect(server.admin_url, autocommit=True) as connection:
        return connection.execute(statement)


def sigkill(server):
    server._process.kill()
    server._process.wait()


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_gone(pid):
    """A zombie is gone too: only its parent, or init, has not asked yet how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("kind", ["postgres", "store"])
def test_what_was_written_is_there_after_any_end(kind, request):
    server = request.getfixturevalue(kind)
    write_film(server)

    server.stop()
    server.start()
    assert has_film(server)

    sigkill(server)
    server.start()
    assert has_film(server)


def test_both_servers_die_with_a_killed_parent_and_leave_nothing_in_the_way(terminal, tmp_path):
    servers = json.loads(terminal.stdout.readline())

    terminal.kill()

    wait_for(lambda: all(is_gone(pid) and ports.is_free(port) for pid, port in servers))
    with make_postgres(tmp_path) as postgres, make_store(tmp_path) as store:
        assert query(postgres, "select 1").fetchone() == (1,)
        assert s3(store).list_objects_v2(Bucket="videos")["KeyCount"] == 0


def test_a_cluster_whose_making_was_killed_is_made_again(terminal, tmp_path):
    wait_for(lambda: any(tmp_path.glob(".postgres.new-*/cluster/base")))

    terminal.kill()
    terminal.wait()

    assert not (tmp_path / "postgres").exists()
    with make_postgres(tmp_path) as postgres:
        assert query(postgres, "select 1").fetchone() == (1,)


def test_a_lock_file_whose_process_id_went_to_another_program_does_not_keep_postgres_from_starting(postgres, tmp_path):
    """After a crash of the machine that id belongs to anyone, also to a process of the same user."""
    sigkill(postgres)
    lock = tmp_path / "postgres" / "postmaster.pid"
    stranger = process.start(["/bin/sleep", "60"], log=tmp_path / "stranger.log", as_nobody=True)
    lock.write_text("\n".join([str(stranger.pid), *lock.read_text().splitlines()[1:], ""]))

    postgres.start()

    assert query(postgres, "select 1").fetchone() == (1,)
    assert stranger.poll() is None
    process.stop(stranger, timeout=1)


def test_a_second_postgres_on_the_same_data_is_refused_and_the_first_stays(postgres, tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.local.postgres._PREDECESSOR_S", 0)

    with pytest.raises(process.StartError, match=r"already running on .*postgres"):
        make_postgres(tmp_path).start()

    assert query(postgres, "select 1").fetchone() == (1,)


def test_a_second_store_on_the_same_data_is_refused_and_the_first_stays(store, tmp_path):
    write_film(store)

    with pytest.raises(process.StartError, match="temporarily unavailable"):
        make_store(tmp_path).start()

    assert has_film(store)


def test_two_of_each_run_side_by_side(postgres, store, tmp_path):
    with make_postgres(tmp_path / "other") as other_postgres, make_store(tmp_path / "other") as other_store:
        for server in (postgres, store, other_postgres, other_store):
            write_film(server)
        query(other_postgres, "drop table film")
        s3(other_store).delete_object(Bucket="videos", Key="film")

    assert has_film(postgres)
    assert has_film(store)


@pytest.mark.parametrize("make", [make_postgres, make_store])
def test_a_port_that_is_taken_is_named_in_one_line(make, taken_port, tmp_path):
    server = make(tmp_path, port=taken_port)

    with pytest.raises(ports.PortTakenError) as caught:
        server.start()

    assert str(taken_port) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_port_that_is_free_is_the_one_used(tmp_path, shared_store):
    port = ports.free_port()

    with make_postgres(tmp_path, port=port) as postgres:
        query(postgres, "select 1")

        assert postgres.port == port
        assert shared_store.port == shared_store._fixed_port


def test_a_port_is_given_to_one_process_until_that_process_ends():
    """Between the choice of a port and its server's start another process must not choose the same."""
    port = ports.free_port()
    other = f"from scripts.local import ports; print(ports.is_free({port}), ports.claim({port}))"

    def of_another_process() -> str:
        command = [sys.executable, "-c", other]
        return subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout

    assert of_another_process().split() == ["True", "False"]
    assert ports.claim(port)

    os.close(ports._claims.pop(port))
    assert of_another_process().split() == ["True", "True"]


def test_old_claims_of_ports_are_given_up():
    claimed = ports.free_ports(ports._CLAIMS, avoid=ports._claims)
    newest = ports.free_ports(1, avoid=ports._claims)

    assert [*ports._claims] == [*claimed[1:], *newest]


def test_a_failed_start_says_what_the_log_said_and_leaves_no_process(tmp_path):
    postgres = make_postgres(tmp_path, settings={"no_such_setting": "1"})

    with pytest.raises(process.StartError, match='unrecognized configuration parameter "no_such_setting"'):
        postgres.start()

    assert postgres._process is None


def test_a_child_is_out_of_reach_of_the_terminals_ctrl_c(shared_postgres):
    assert os.getsid(shared_postgres._process.pid) != os.getsid(0)


def test_a_child_that_ignores_the_request_to_end_is_killed(tmp_path):
    log = tmp_path / "stubborn.log"
    command = ["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 60; done"]
    stubborn = process.start(command, log=log)
    wait_for(lambda: log.read_text() == "deaf\n")

    process.stop(stubborn, sig=signal.SIGTERM, timeout=0.05)

    assert stubborn.returncode == -signal.SIGKILL


def test_a_log_does_not_grow_for_ever(tmp_path):
    log = tmp_path / "chatty.log"
    log.write_bytes(b"x" * 6_000_000)

    process.run(["/bin/echo", "hello"], log=log, timeout=5)

    assert log.read_text() == "hello\n"


def test_logins_and_passwords_may_hold_any_character(tmp_path):
    password = "p w/@:'\"%ü"
    with make_postgres(tmp_path, password=password) as postgres:
        query(postgres, 'create database "a/b"')
        query(postgres, "create role \"x@y\" login password 'a:b'")

        with psycopg.connect(postgres.url("a/b", "x@y", "a:b")) as connection:
            assert connection.info.user == "x@y"


def test_postgres_refuses_a_wrong_password(shared_postgres):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(shared_postgres.url("postgres", "postgres", "wrong"))


def test_letters_outside_ascii_can_be_searched_for(shared_postgres):
    query(shared_postgres, "create extension pg_trgm")

    assert query(shared_postgres, "select 'Spülmaschine' % 'Spülmaschinen', lower('Ü')").fetchone() == (True, "ü")
    assert len(query(shared_postgres, "select show_trgm('äöü')").fetchone()[0]) == 4


def test_a_wrong_secret_is_403(shared_store):
    with pytest.raises(ClientError) as caught:
        s3(shared_store, aws_secret_access_key="wrong").get_object(Bucket="videos", Key="film")

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_request_without_a_signature_is_403(shared_store):
    assert requests.get(f"{shared_store.endpoint}/videos/film", timeout=5).status_code == 403


def test_a_signed_url_is_refused_once_it_has_expired(shared_store, monkeypatch):
    a_minute_ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=1)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: a_minute_ago)

    assert requests.get(film_url(shared_store, seconds=600), timeout=5).content == FILM
    assert requests.get(film_url(shared_store, seconds=30), timeout=5).status_code == 403


def test_a_range_of_an_object_is_206(shared_store):
    url = film_url(shared_store, seconds=60)

    answer = requests.get(url, headers={"Range": "bytes=100-199"}, timeout=5)

    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == "bytes 100-199/1024"
    assert answer.content == FILM[100:200]


def test_a_missing_bucket_is_an_error_not_made(shared_store):
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3(shared_store).put_object(Bucket="elsewhere", Key="film", Body=FILM)


def test_a_name_that_no_bucket_may_have_is_refused_without_waiting(tmp_path):
    with pytest.raises(ClientError, match="InvalidBucketName"):
        make_store(tmp_path, bucket="v").start()


def test_a_new_secret_takes_the_place_of_the_old(store, tmp_path):
    store.stop()

    with make_store(tmp_path, secret_key="changed") as again:
        s3(again, aws_secret_access_key="changed").list_buckets()
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            s3(again).list_buckets()


def test_the_secret_stands_on_no_command_line(shared_store):
    command = Path(f"/proc/{shared_store._process.pid}/cmdline").read_bytes().split(b"\0")

    assert b"mini" in command
    assert not [part for part in command if b"secret" in part]


def test_a_stopped_store_leaves_no_socket_behind(store):
    inner = store._inner_ports.items()
    services = [(name.partition(".")[0], port) for name, port in inner if name.endswith(".grpc")]
    sockets = [Path(f"/tmp/seaweedfs-{service}-grpc-{port}.sock") for service, port in services]  # noqa: S108
    assert any(path.exists() for path in sockets)

    store.stop()

    assert not any(path.exists() for path in sockets)
