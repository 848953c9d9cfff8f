"""What Replicate's own client gets from a simulator: `drive_replicate.py BASE_URL KEY` prints it as JSON."""

import json
import sys
import time

import replicate
from replicate.exceptions import ReplicateError

BASE_URL, KEY = sys.argv[1:]
MODEL = "bytedance/seedance-2.0"


def main() -> dict:
    client = replicate.Client(api_token=KEY, base_url=f"{BASE_URL}/replicate")

    def create(prompt, **wanted):
        return client.predictions.create(version=MODEL, input={"prompt": prompt, **wanted})

    def finished(prediction):
        while prediction.status in {"starting", "processing"}:
            time.sleep(0.01)
            prediction.reload()
        return prediction

    def refused(**wanted):
        try:
            create("a cow", **wanted)
        except ReplicateError as error:
            return [error.status, error.title, error.detail]

    prediction = create("a cat", duration=4, resolution="480p")
    first = prediction.status
    finished(prediction)
    running = create("a dog [delay=600]")
    moderated = finished(create("a fish [moderate]"))
    official = finished(client.models.predictions.create(MODEL, {"prompt": "an ant"}))
    return {
        "first": first,
        "prediction": json.loads(prediction.json()),
        "listed": [each.id for each in client.predictions.list().results],
        "ids": [official.id, moderated.id, running.id, prediction.id],
        "moderated": [moderated.status, moderated.error],
        "cancelled": client.predictions.cancel(running.id).status,
        "refused": refused(duration=16),
        "secret": client.webhooks.default.secret().key,
    }


print(json.dumps(main()))
