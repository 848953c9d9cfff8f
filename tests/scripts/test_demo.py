"""What `scripts/dev --demo` says it did is what is there."""

import json
import re
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from generation_history.media import ffmpeg
from scripts.local.demo import SHOTS, VARIANTS, analyse
from tests.support import films
from tests.support.demo import Demo, says

pytestmark = pytest.mark.slow

#: Left by another system, and nothing of these is for a part that the stack starts itself.
EXPORTED = {
    "OPENAI_API_KEY": "sk-of-another-server",
    "DO_SPACES_SECRET_KEY": "of-another-store",
    "DO_SPACES_BUCKET": "of-another-store",
    "WORKER_DATABASE_URL": "postgresql://history_worker:password@127.0.0.1:1/of-another-database",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo that finished, its stack still running."""
    with Demo(tmp_path_factory.mktemp("demo") / "state", **EXPORTED) as demo:
        demo.wait_until(says("Ctrl-C stops everything"))
        yield demo
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(30) == 0


@pytest.fixture
def api(demo: Demo) -> str:
    return re.search(r"^  functions  (\S+)$", demo.output(), re.MULTILINE)[1] + "/history"


@pytest.fixture
def generation(demo: Demo, api: str) -> dict[str, Any]:
    (generation_id,) = demo.generations()
    return requests.get(f"{api}/generations/{generation_id}", timeout=10).json()["generation"]


@pytest.fixture
def scenes(generation: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The scenes' rows by the variant and the number that the table shows."""
    return {
        (variant["variant_type"], str(scene["scene_number"])): scene
        for variant in generation["variants"]
        for scene in variant["scenes"]
    }


@pytest.fixture
def table(demo: Demo) -> dict[tuple[str, str], list[str]]:
    """The printed table, its head left out: what stands beside a variant and a number."""
    lines = [re.split(r"  +", line) for line in demo.output().splitlines()]
    heads = [number for number, line in enumerate(lines) if line[0] == "variant"]
    return {(line[0], line[1]): line[2:] for line in lines[heads[0] + 1 : heads[0] + 13]}


def measured(video: Path) -> tuple[float, str]:
    """The seconds and the size of the pictures that come out when the whole video is decoded, without an error."""
    said = subprocess.run(
        [ffmpeg.executable(), "-nostdin", "-xerror", "-i", video, "-f", "null", "-"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stderr
    decoded = said.partition("Output #0")[2]
    hours, minutes, seconds = re.findall(r"time=(\d+):(\d+):([\d.]+)", decoded)[-1]
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds), re.search(r"Video: .*?, (\d+x\d+)", decoded)[1]


def test_every_scene_is_in_the_table_as_it_is_recorded(generation, scenes, table):
    assert table.keys() == scenes.keys() == {(kind, str(n + 1)) for kind in VARIANTS for n in range(len(SHOTS))}
    for key, (status, duration, resolution, size, _link) in table.items():
        row = scenes[key]
        assert (status, duration, resolution) == (row["status"], f"{row['duration']} s", row["resolution"])
        assert (status, size) == ("completed", f"{row['file_size'] / 1000:.0f} kB")
    assert {variant["status"] for variant in generation["variants"]} == {generation["status"]} == {"completed"}


def test_every_link_is_a_whole_video_as_its_row_says(scenes, table, tmp_path: Path):
    contents = set()
    for key, row in scenes.items():
        answer = requests.get(table[key][-1], timeout=10)
        assert answer.headers["Content-Type"] == "video/mp4"
        contents.add(answer.content)
        video = tmp_path / "video.mp4"
        video.write_bytes(answer.content)
        seconds, resolution = measured(video)
        assert (len(answer.content), round(seconds), resolution) == (
            row["file_size"],
            row["duration"],
            row["resolution"],
        )
    assert len(contents) == 12


def test_every_thumbnail_is_a_jpeg_640_wide(api: str, scenes, tmp_path: Path):
    for row in scenes.values():
        answer = requests.get(f"{api}/scenes/{row['id']}/thumbnail", timeout=10)
        assert answer.headers["Content-Type"] == "image/jpeg"
        picture = tmp_path / "picture.jpg"
        picture.write_bytes(answer.content)
        width, height = films.size(picture)
        shown_width, shown_height = map(int, row["resolution"].split("x"))
        assert width == 640
        assert height == pytest.approx(640 * shown_height / shown_width, abs=2)


def test_objects_lie_at_these_keys_and_no_others(demo: Demo, generation):
    kept = demo.kept()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{kept['port_spaces']}",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key=kept["secret_spaces"],
    )
    listed = client.list_objects_v2(Bucket="soraking-videos", Prefix=f"generations/{generation['id']}/")["Contents"]
    client.close()

    # The README's lines may have asked for an archive before.
    assert {found["Key"] for found in listed if "/archives/" not in found["Key"]} == {
        f"generations/{generation['id']}/{variant}/scene_{number}{ending}"
        for variant in VARIANTS
        for number in (1, 2, 3, 4)
        for ending in (".mp4", "_thumb.jpg")
    }


def test_the_library_lists_the_generation(api: str, generation):
    library = requests.get(f"{api}/library", timeout=10).json()["library"]

    [listed] = [item for item in library if item["id"] == generation["id"]]
    assert (listed["total_variants"], listed["total_videos"]) == (3, 12)
    assert sorted(listed["variant_types"]) == sorted(VARIANTS)


def test_metadata_of_every_kind_is_kept_and_the_analysis_is_what_ffmpeg_measured(demo: Demo, generation):
    source = demo.folder / "demo" / "source.mp4"
    metadata = generation["metadata"]

    analysis = metadata["original_analysis"]
    assert (analysis["duration"], analysis["resolution"]) == (pytest.approx(8, abs=0.1), "360x640")
    assert analysis["scene_cuts"] == pytest.approx([2, 4, 6], abs=0.1)
    assert (analysis["duration"], analysis["resolution"]) == (pytest.approx(measured(source)[0], abs=0.1), "360x640")
    assert analysis == analyse(source)
    assert metadata["transformation_data"]["source_scenes"] == 4
    assert {kind: len(prompts) for kind, prompts in metadata["prompts_data"].items()} == dict.fromkeys(VARIANTS, 4)
    assert metadata["evaluation_data"]["score"] == 1
    assert len(metadata["evaluation_data"]["scenes"]) == 12


def test_totals_and_cost_are_those_of_the_rows(demo: Demo, generation, scenes):
    seconds = sum(row["duration"] for row in scenes.values())
    megabytes = sum(row["file_size"] for row in scenes.values()) / 1e6
    cost = f"{seconds * 0.1:.2f}"

    assert f"\n12 videos, {seconds} s, {megabytes:.1f} MB\n" in demo.output()
    assert f"\ncost: estimated {cost} USD, actual {cost} USD\n" in demo.output()
    assert f"{generation['actual_cost']:.2f}" == cost
    assert "\nin the library: generations 1, videos 12\n" in demo.output()


def test_the_curl_lines_work_as_printed(demo: Demo, api: str, generation, scenes, tmp_path: Path):
    commands = re.findall(r"^  (curl .*)$", demo.output(), re.MULTILINE)
    assert len(commands) == 9
    for command in commands:
        shown = subprocess.run(
            ["/bin/sh", "-c", command], check=True, capture_output=True, text=True, cwd=tmp_path, timeout=30
        )
        assert "-OJ" in command or json.loads(shown.stdout)["success"] is True, (command, shown.stdout)

    video = tmp_path / f"source_{VARIANTS[0]}_scene-1.mp4"
    assert video.stat().st_size == scenes[VARIANTS[0], "1"]["file_size"]
    with zipfile.ZipFile(tmp_path / "source.zip") as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == len(scenes) + 1
    assert requests.get(f"{api}/generations/{generation['id']}", timeout=10).status_code == 404
    requests.post(f"{api}/generations/{generation['id']}/restore", timeout=10).raise_for_status()
