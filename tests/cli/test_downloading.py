"""download: a file is whole under its name or not there, is never overwritten unasked, and is gone on with."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from generation_history.cli.file_download import ATTEMPTS, Download
from generation_history.cli.http_calls import Interrupted
from generation_history.errors import HistoryError
from tests.cli.conftest import refused
from tests.support.scripted_server import answer, head, raw

SOURCE = "https://video.example/ad"
ZIP = "video.example-ad.zip"
CONTENT = bytes(range(256)) * 40
ETAG = '"one"'


@pytest.fixture
def made(stored, generation_factory) -> dict:
    """A generation of two variants with two stored videos each."""
    return stored(generation_factory(2, ["soft", "ultra"], source_video_url=SOURCE))


@pytest.fixture
def into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands are typed in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_zip_is_waited_for_and_downloaded_whole(run, pauses, build, made, into):
    pauses += [lambda: None, build]

    result = run("download", made["id"][:18])

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(ZIP)
    assert names(into) == [ZIP]
    with zipfile.ZipFile(into / ZIP) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 5


def test_a_terminal_shows_how_far_it_is(run, pauses, build, made, into, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    pauses += [lambda: None, build]

    shown = run("download", made["id"]).stderr

    assert "making the zip" in shown
    assert ZIP in shown


def test_a_script_is_told_which_files_there_are(answer, pauses, build, made, into):
    pauses.append(build)
    folder = into / "videos"
    folder.mkdir()

    told = answer("download", made["id"], "--into", folder)

    size = (folder / ZIP).stat().st_size
    assert told == {"success": True, "files": [{"path": str(folder / ZIP), "size": size, "downloaded": True}]}


def test_a_zip_that_is_not_made_in_time_is_told(run, made, into):
    assert "the zip is not made within 0 s; it is still queued" in refused(run("download", made["id"], "--timeout", 0))
    assert names(into) == []


def test_a_generation_without_a_video_has_no_zip(run, spaces, generation_factory, into):
    made = generation_factory(1)

    assert refused(run("download", made["id"])) == "this generation has no stored video yet"
    assert refused(run("download", made["id"], "--videos")) == "no such video is stored yet"


def test_a_zip_that_cannot_be_made_says_why(run, pauses, build, made, into, store):
    scene = made["variants"][0]["scenes"][0]
    store.delete(f"generations/{made['id']}/soft/scene_{scene['scene_number']}.mp4")
    pauses.append(build)

    assert refused(run("download", made["id"])).startswith("video_missing: the archive could not be made")
    assert names(into) == []


@pytest.mark.parametrize(
    ("words", "which"),
    [
        (["--videos"], [("soft", 1), ("soft", 2), ("ultra", 1), ("ultra", 2)]),
        (["--variant-type", "ultra"], [("ultra", 1), ("ultra", 2)]),
        (["--scene", "2"], [("soft", 2), ("ultra", 2)]),
        (["--scene", "1", "--variant-type", "soft"], [("soft", 1)]),
    ],
)
def test_videos_are_downloaded_one_by_one(run, made, into, words, which):
    ids = {(v["variant_type"], s["scene_number"]): s["id"] for v in made["variants"] for s in v["scenes"]}

    assert run("download", made["id"], *words).exit_code == 0

    read = {path.name: path.read_text() for path in into.iterdir()}
    assert read == {f"video.example-ad_{kind}_scene-{n}.mp4": f"video of {ids[kind, n]}" for kind, n in which}


def test_what_is_there_already_is_not_overwritten_without_force(run, pauses, build, made, into):
    (into / ZIP).write_text("mine")
    pauses.append(build)

    assert refused(run("download", made["id"])) == f"{ZIP} is there already; --force replaces it"
    assert (into / ZIP).read_text() == "mine"
    assert pauses == [build], "no zip was asked for"

    assert run("download", made["id"], "--force").exit_code == 0
    assert zipfile.is_zipfile(into / ZIP)


def test_videos_that_are_there_whole_are_left_and_others_are_not_overwritten(run, made, into):
    first, second = "video.example-ad_soft_scene-1.mp4", "video.example-ad_soft_scene-2.mp4"
    run("download", made["id"], "--scene", 1, "--variant-type", "soft")
    before = (into / first).stat()
    (into / second).write_text("mine")

    line = refused(run("download", made["id"], "--variant-type", "soft"))

    assert line == f"{second} is there already; --force replaces it"
    assert (into / first).stat() == before
    assert (into / second).read_text() == "mine"


def test_the_store_is_not_shown_the_token(http, scripted, made, into, monkeypatch, api_url, token):
    scripted.script(answer(200, CONTENT, kind="video/mp4"))
    link = f"{scripted.base_url}/video.mp4?X-Amz-Signature=abc"
    monkeypatch.setattr("generation_history.cli.over_http.HttpHistory.video_link", lambda *_: link)

    http("download", made["id"], "--scene", 1, "--variant-type", "soft")

    (request,) = scripted.requests
    assert "authorization" not in request.headers
    assert token not in str(request)


# ---------------------------------------------------------------- one file


@pytest.fixture
def fetch(scripted, tmp_path, pauses):
    """Downloads what the scripted server gives to a file."""
    target = tmp_path / "there" / "video.mp4"
    target.parent.mkdir()

    def run(*, force: bool = False) -> bytes:
        Download(lambda: f"{scripted.base_url}/v?sig=secret", target, force=force, progress=lambda *_: None).run()
        return target.read_bytes()

    run.folder = target.parent
    return run


def cut(at: int, content: bytes = CONTENT, etag: str | None = ETAG):
    """An answer that breaks off after so many bytes."""
    return raw(head(200, {"Content-Length": len(content), "ETag": etag}) + content[:at])


def rest(request, content: bytes = CONTENT, etag: str = ETAG):
    """What a store answers to a range."""
    start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
    sent = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}", "ETag": etag}
    return answer(206, content[start:], kind="video/mp4", **sent)


def test_an_interrupted_download_leaves_no_half_file_under_its_name(fetch, scripted):
    scripted.script(cut(1000, etag=None))

    with pytest.raises(Interrupted):
        fetch()

    assert not (fetch.folder / "video.mp4").exists()
    assert all(name.startswith(".video.mp4.") for name in names(fetch.folder))


def test_a_download_that_a_person_stops_leaves_no_half_file_either(scripted, tmp_path, pauses):
    scripted.script(answer(200, CONTENT, ETag=ETAG))
    target = tmp_path / "there.mp4"

    def stop(done: int, _total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Download(lambda: scripted.base_url, target, force=False, progress=stop).run()

    assert not target.exists()


def test_what_was_begun_is_gone_on_with(fetch, scripted):
    asked = []

    def answering(request):
        asked.append(request.headers.get("range"))
        return rest(request) if asked[-1] else cut(1000)

    scripted.answer_by(answering)

    assert fetch() == CONTENT
    assert asked == [None, "bytes=1000-"]
    assert names(fetch.folder) == ["video.mp4"]


def test_it_is_gone_on_with_by_the_next_command(fetch, scripted):
    scripted.script(cut(1000), answer(503))
    with pytest.raises(Interrupted):
        fetch()
    (part,) = fetch.folder.iterdir()
    assert part.read_bytes() == CONTENT[:1000]

    scripted.answer_by(rest)

    assert fetch() == CONTENT
    assert names(fetch.folder) == ["video.mp4"]


@pytest.mark.parametrize("other", [{"etag": '"two"'}, {"content": CONTENT[::-1] + b"more"}])
def test_a_part_of_another_object_is_not_gone_on_with(fetch, scripted, other):
    scripted.script(cut(1000), answer(503))
    with pytest.raises(Interrupted):
        fetch()
    content = other.get("content", CONTENT[::-1])

    def answering(request):
        sent = {"ETag": other.get("etag", ETAG)}
        if "range" in request.headers:
            return rest(request, content, sent["ETag"])
        return answer(200, content, kind="video/mp4", **sent)

    scripted.answer_by(answering)

    assert fetch() == content
    assert names(fetch.folder) == ["video.mp4"]


def test_a_store_that_takes_no_ranges_is_asked_for_all_of_it(fetch, scripted):
    scripted.script(cut(1000), answer(200, CONTENT, ETag=ETAG))

    assert fetch() == CONTENT
    assert names(fetch.folder) == ["video.mp4"]


def test_after_some_breaks_a_download_is_given_up(fetch, scripted):
    scripted.script(cut(0))

    with pytest.raises(Interrupted, match="the connection broke"):
        fetch()

    assert len(scripted.requests) == ATTEMPTS


@pytest.mark.parametrize("status", [403, 404, 302])
def test_a_link_that_does_not_open_is_told_without_the_link(fetch, scripted, status):
    scripted.script(answer(status, b"no", Location="https://elsewhere.example"))

    with pytest.raises(HistoryError, match=rf"answers {status} to the link of video.mp4") as told:
        fetch()

    assert "secret" not in str(told.value)
    assert names(fetch.folder) == []
    assert len(scripted.requests) == 1


def test_a_part_is_kept_while_its_link_does_not_open(fetch, scripted):
    scripted.script(cut(1000), answer(403))
    with pytest.raises(HistoryError):
        fetch()

    (part,) = fetch.folder.iterdir()
    assert part.read_bytes() == CONTENT[:1000]


def test_a_file_that_appears_meanwhile_is_not_overwritten(fetch, scripted):
    def answering(_request):
        (fetch.folder / "video.mp4").write_text("mine")
        return answer(200, CONTENT)

    scripted.answer_by(answering)

    with pytest.raises(HistoryError, match="is there already"):
        fetch()
    assert (fetch.folder / "video.mp4").read_text() == "mine"


def test_force_replaces_a_file_once_the_new_one_is_whole(fetch, scripted):
    (fetch.folder / "video.mp4").write_text("old")
    scripted.script(cut(1000))
    with pytest.raises(Interrupted):
        fetch(force=True)
    assert (fetch.folder / "video.mp4").read_text() == "old"

    scripted.answer_by(lambda request: rest(request) if "range" in request.headers else answer(200, CONTENT))

    assert hashlib.sha256(fetch(force=True)).digest() == hashlib.sha256(CONTENT).digest()


def test_no_link_leads_to_the_metadata_service_of_a_machine(tmp_path, pauses):
    target = tmp_path / "video.mp4"

    with pytest.raises(Interrupted):
        Download(lambda: "http://169.254.169.254/latest", target, force=False, progress=lambda *_: None).run()

    assert not target.exists()
