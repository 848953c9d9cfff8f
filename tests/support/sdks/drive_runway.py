"""What Runway's own client gets from a simulator: `drive_runway.py BASE_URL KEY` prints it as JSON."""

import json
import sys
import time

import runwayml

BASE_URL, KEY = sys.argv[1:]
WANTED = {"model": "gen4.5", "ratio": "1280:720", "duration": 2}


def main() -> dict:
    client = runwayml.RunwayML(api_key=KEY, base_url=f"{BASE_URL}/runway", max_retries=0)

    def create(prompt, **wanted):
        return client.text_to_video.create(**WANTED | {"prompt_text": prompt, **wanted})

    def finished(task_id):
        while (task := client.tasks.retrieve(task_id)).status in {"PENDING", "THROTTLED", "RUNNING"}:
            time.sleep(0.01)
        return task.to_dict(mode="json")

    def refused(prompt, **wanted):
        try:
            create(prompt, **wanted)
        except runwayml.APIStatusError as error:
            return [type(error).__name__, error.status_code, error.body]

    created = create("a cat", seed=7)
    running = create("a dog [delay=600]")
    while client.tasks.retrieve(running.id).status != "RUNNING":
        time.sleep(0.01)
    shown = client.tasks.retrieve(running.id)
    client.tasks.delete(running.id)
    try:
        gone = client.tasks.retrieve(running.id).status
    except runwayml.NotFoundError as error:
        gone = error.status_code
    image = client.image_to_video.create(
        **WANTED | {"ratio": "960:960"}, prompt_text="a fish [moderate]", prompt_image="https://example.com/a.png"
    )
    return {
        "created": created.to_dict(mode="json"),
        "task": finished(created.id),
        "running": [shown.status, shown.progress, shown.estimated_cost.credits],
        "gone": gone,
        "moderated": finished(image.id),
        "too_long": refused("a cow", duration=11),
        "unknown_field": refused("a cow", extra_body={"generate_audio": True}),
    }


print(json.dumps(main()))
