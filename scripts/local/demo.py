"""The demo: one ad through the whole flow, followed live, then told in a table."""

import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import requests

from generation_history import provider_settings
from generation_history.media import ffmpeg
from generation_history.pipeline_integrator import PipelineIntegrator
from generation_history.providers import VideoRequest, factory
from generation_history.record.generation_manager import GenerationManager
from scripts.local.stack import Stack

VARIANTS = ("soft", "medium", "aggressive")
#: What one scene costs at the last published price: 0.10 US dollars a second.
PRICE_PER_SECOND = 0.10
PROGRESS_INTERVAL_SECONDS = 0.4
#: A demo that has not finished by then will not.
PATIENCE_SECONDS = 600
SHOTS = ("a morning kitchen", "the product in a hand", "a street at noon", "friends at a table")
MOODS = {
    "soft": "soft light, slow camera, gentle smiles",
    "medium": "medium pace, clear colours, a steady voice",
    "aggressive": "aggressive cuts, bold colours, a countdown",
}


class DemoFailed(RuntimeError):
    """Not everything is stored; the text says what and why."""


def run_demo(local_stack: Stack, folder: Path, closing: ExitStack, *, stays_up: bool) -> None:
    """One generation ends with every scene stored and told in a table; DemoFailed otherwise.

    stays_up says whether the stack runs on, so that the printed suggestions work at once.
    A demo that was broken off, even while the stack was stopping, is continued: every step may be done again. The
    generation is recorded as finished when `closing` ends.
    """
    source = make_source(folder / "demo" / "source.mp4")
    finished_file = folder / "demo" / "over"
    pipeline = PipelineIntegrator()
    generation_id = _unfinished(pipeline.gen_manager, source, finished_file) or pipeline.start_generation(
        str(source), "file", VARIANTS, _estimate()
    )
    print(f"\ngeneration {generation_id}\nsource     {source}\n", flush=True)
    _record(pipeline, generation_id, source)
    generation = _follow(local_stack, generation_id)
    if _resolve_unknown(pipeline.gen_manager, generation):
        generation = _follow(local_stack, generation_id)
    print(_table(local_stack, generation), flush=True)
    print(_totals(local_stack, generation), flush=True)
    pipeline.save_evaluation_metadata(generation_id, evaluate(generation))
    closing.callback(_record_finished, finished_file, generation_id)
    failed_scenes = [scene for _, scene in _scenes(generation) if scene["status"] != "completed"]
    if failed_scenes:
        reasons = "; ".join(sorted({f"{scene['error_code']}: {scene['error_message']}" for scene in failed_scenes}))
        raise DemoFailed(f"{len(failed_scenes)} of {len(_scenes(generation))} scenes have no video: {reasons}")
    print(_suggestions(local_stack, generation, stays_up=stays_up), flush=True)


# ---------------------------------------------------------------- the ad


def make_source(path: Path) -> Path:
    """A real video of four shots, made by ffmpeg unless it is there already."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shots = ("testsrc2", "smptehdbars", "mandelbrot", "rgbtestsrc")
        inputs = [part for shot in shots for part in ("-f", "lavfi", "-t", "2", "-i", f"{shot}=s=360x640:r=24")]
        graph = "".join(f"[{n}:v]format=yuv420p,setsar=1[v{n}];" for n in range(len(shots)))
        graph += "".join(f"[v{n}]" for n in range(len(shots))) + f"concat=n={len(shots)}:v=1[v]"
        tone = ("-f", "lavfi", "-t", str(2 * len(shots)), "-i", "sine=frequency=330")
        new_path = path.with_suffix(".new.mp4")
        _ffmpeg(*inputs, *tone, "-filter_complex", graph, "-map", "[v]", "-map", f"{len(shots)}:a", "-y", str(new_path))
        new_path.replace(path)
    return path.resolve()


def analyse(source: Path) -> dict[str, Any]:
    """What ffmpeg measures of the source: its duration and scene cuts in seconds, and its resolution."""
    thumbnail = source.with_suffix(".jpg")
    inspection = ffmpeg.inspect(source, thumbnail)
    log = _ffmpeg("-i", str(source), "-vf", "select='gt(scene,0.3)',showinfo", "-f", "null", "-")
    cuts = [round(float(moment), 2) for moment in re.findall(r"pts_time:\s*([0-9.]+)", log)]
    return {
        "duration": inspection.seconds,
        "resolution": inspection.resolution,
        "scene_cuts": cuts,
        "scenes": len(cuts) + 1,
        "file_size": source.stat().st_size,
        "measured_by": "ffmpeg, scene change above 0.3",
    }


def _ffmpeg(*arguments: str) -> str:
    result = subprocess.run(
        [ffmpeg.executable(), "-hide_banner", "-nostdin", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if result.returncode:
        raise DemoFailed(f"ffmpeg failed: {result.stderr.strip().splitlines()[-1]}")
    return result.stderr


def _estimate() -> float:
    seconds = provider_settings.provider().seconds
    return round(len(VARIANTS) * len(SHOTS) * seconds * PRICE_PER_SECOND, 2)


# ---------------------------------------------------------------- the pipeline


def _unfinished(manager: GenerationManager, source: Path, finished_file: Path) -> str | None:
    """The demo's generation that was broken off, if there is one: its newest, unless it is recorded as finished."""
    finished_ids = finished_file.read_text().split() if finished_file.exists() else []
    newest = next(
        (
            generation["id"]
            for generation in manager.list_generations(100)
            if generation["source_video_url"] == str(source)
        ),
        None,
    )
    return None if newest in finished_ids else newest


def _record_finished(finished_file: Path, generation_id: str) -> None:
    with finished_file.open("a") as file:
        file.write(f"{generation_id}\n")


def _record(pipeline: PipelineIntegrator, generation_id: str, source: Path) -> None:
    analysis = analyse(source)
    prompts = {variant: _prompts(variant, generation_id) for variant in VARIANTS}
    pipeline.save_analysis_metadata(generation_id, analysis)
    pipeline.save_transformation_metadata(
        generation_id, {"scenes_per_variant": len(SHOTS), "moods": MOODS, "source_scenes": analysis["scenes"]}
    )
    pipeline.save_prompts_metadata(generation_id, prompts)
    for variant, texts in prompts.items():
        pipeline.create_scene_records(generation_id, variant, texts, submit=True)


def _prompts(variant: str, generation_id: str) -> list[str]:
    take_number = generation_id[-6:]
    return [f"Scene {n}, {variant}: {shot}; {MOODS[variant]} (take {take_number})" for n, shot in enumerate(SHOTS, 1)]


def _resolve_unknown(manager: GenerationManager, generation: Mapping[str, Any]) -> bool:
    """What a person does about submit_unknown: look at the provider, and confirm where it has no such job."""
    unknown = [scene for _, scene in _scenes(generation) if scene["error_code"] == "submit_unknown"]
    now = datetime.now(UTC)
    for scene in unknown:
        provider = factory.from_settings().find(scene["provider_base_url"])
        request = VideoRequest(scene["sora_prompt"], scene["model"], scene["size"], scene["seconds"])
        if provider is not None and not provider.find(
            request, since=now - timedelta(days=1), until=now + timedelta(minutes=5)
        ):
            print(f"scene {scene['id']}: the provider has no job of it, so it is submitted again", flush=True)
            manager.retry_scene(scene["id"], confirmed=True)
    return bool(unknown)


def evaluate(generation: Mapping[str, Any]) -> dict[str, Any]:
    """How well what came back fits what was asked for: the share of scenes with the size and length asked for."""
    fits = {
        f"{variant['variant_type']}/{scene['scene_number']}": {
            "resolution_as_asked": scene["resolution"] == scene["size"],
            "duration_as_asked": scene["duration"] == scene["seconds"],
        }
        for variant, scene in _scenes(generation)
        if scene["status"] == "completed"
    }
    fitting_count = sum(all(checks.values()) for checks in fits.values())
    return {"scenes": fits, "score": round(fitting_count / len(fits), 3) if fits else None}


# ---------------------------------------------------------------- what is shown


def _follow(local_stack: Stack, generation_id: str) -> dict[str, Any]:
    """The generation as the API shows it once all its scenes are over; meanwhile its progress is shown."""
    printed = ""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        generation = _get(local_stack, f"/api/history/generations/{generation_id}")["generation"]
        progress = _progress(generation)
        if progress != printed:
            lines = printed.count("\n")
            erasure = f"\x1b[{lines}A\x1b[J" if sys.stdout.isatty() and lines else ""
            print(erasure + progress, end="", flush=True)
            printed = progress
        if all(scene["status"] in {"completed", "failed"} for _, scene in _scenes(generation)):
            return generation
        if time.monotonic() > deadline:
            raise DemoFailed(f"the scenes are not finished after {PATIENCE_SECONDS} s; the logs tell more")
        time.sleep(PROGRESS_INTERVAL_SECONDS)


def _get(local_stack: Stack, path: str) -> dict[str, Any]:
    response = requests.get(local_stack.url + path, timeout=30)
    answer = cast("dict[str, Any]", response.json()) if "json" in response.headers.get("Content-Type", "") else {}
    if not response.ok:
        raise DemoFailed(f"GET {path} answered {response.status_code}: {answer.get('error', response.text[:200])}")
    return answer


def _progress(generation: Mapping[str, Any]) -> str:
    marks = {"pending": "waiting", "processing": "rendering", "completed": "stored", "failed": "FAILED"}
    rows: list[str] = []
    for variant in generation["variants"]:
        states = [
            "storing"
            if scene["status"] == "processing" and scene["sora_status"] == "completed"
            else marks[scene["status"]]
            for scene in variant["scenes"]
        ]
        rows.append(f"  {variant['variant_type']:<11}" + "".join(f"{state:<11}" for state in states).rstrip())
    return "\n".join(rows) + "\n" + ("" if sys.stdout.isatty() else "\n")


def _scenes(generation: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(variant, scene) for variant in generation["variants"] for scene in variant["scenes"]]


def _table(local_stack: Stack, generation: Mapping[str, Any]) -> str:
    rows = [("variant", "scene", "status", "duration", "resolution", "size", "link")]
    for variant, scene in _scenes(generation):
        is_stored = scene["status"] == "completed"
        rows.append(
            (
                variant["variant_type"],
                str(scene["scene_number"]),
                scene["status"],
                f"{scene['duration']} s" if is_stored else "-",
                scene["resolution"] or "-",
                f"{scene['file_size'] / 1000:.0f} kB" if is_stored else "-",
                f"{local_stack.url}/api/history/scenes/{scene['id']}/video" if is_stored else str(scene["error_code"]),
            )
        )
    return "\n" + _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _totals(local_stack: Stack, generation: Mapping[str, Any]) -> str:
    stored_scenes = [scene for _, scene in _scenes(generation) if scene["status"] == "completed"]
    megabytes = sum(scene["file_size"] for scene in stored_scenes) / 1e6
    seconds = sum(scene["duration"] for scene in stored_scenes)
    actual = generation["actual_cost"]
    stats = _get(local_stack, "/api/history/stats")["stats"]
    return "\n".join(
        [
            f"\n{len(stored_scenes)} videos, {seconds} s, {megabytes:.1f} MB",
            f"cost: estimated {generation['cost_estimate']:.2f} USD, actual "
            + (f"{actual:.2f} USD" if actual is not None else "unknown (nobody reported it)"),
            f"in the library: generations {stats['completed']}, videos {stats['total_videos']}",
        ]
    )


def _suggestions(local_stack: Stack, generation: Mapping[str, Any], *, stays_up: bool) -> str:
    api = f"{local_stack.url}/api/history"
    scene = _scenes(generation)[0][1]
    download = f"{api}/generations/{generation['id']}/download"
    body = '{"source_video_url": "https://video.example/ad", "prompts": {"ultra": ["Scene 1, ultra: a rocket"]}}'
    return "\n".join(
        [
            "\nto try next" + (":" if stays_up else ", once scripts/dev is started again:"),
            f"  curl '{api}/library?limit=1'",
            f"  curl '{api}/generations/{generation['id']}'",
            f"  curl '{api}/variants/{generation['variants'][0]['id']}/scenes'",
            f"  curl '{api}/stats'",
            f"  curl -L -OJ '{api}/scenes/{scene['id']}/video?download=1'",
            f"  curl -X POST '{download}'",
            f"  curl -OJ \"$(until curl -s '{download}' | grep -o 'http[^\"]*'; do sleep 1; done)\"",
            f"  curl -X POST -H 'Content-Type: application/json' -d '{body}' '{api}/generations'",
            f"  curl -X DELETE '{api}/generations/{generation['id']}'",
        ]
    )
