"""What Google's own client gets from a simulator: `drive_gemini.py BASE_URL KEY` prints it as JSON."""

import json
import sys
import time

from google import genai

BASE_URL, KEY = sys.argv[1:]
FORM = {"type": "video", "delivery": "uri", "aspect_ratio": "16:9", "resolution": "360p", "duration": "3s"}


def main() -> dict:
    client = genai.Client(api_key=KEY, http_options={"base_url": f"{BASE_URL}/gemini", "api_version": "v1beta"})

    def create(text, **wanted):
        return client.interactions.create(
            model="gemini-omni-1.2-flash", input=text, background=True, response_format=FORM | wanted
        )

    def finished(interaction):
        while interaction.status in {"queued", "in_progress"}:
            time.sleep(0.01)
            interaction = client.interactions.get(interaction.id)
        return interaction.model_dump(mode="json", exclude_none=True)

    def refused(ask):
        try:
            ask()
        except Exception as error:  # noqa: BLE001 - the error's own name is told
            return [type(error).__name__, getattr(error, "status_code", None), str(error)]

    created = create("a cat")
    video = finished(created)
    uri = video["steps"][0]["content"][0]["uri"]
    image = [{"type": "image", "data": "aGk=", "mime_type": "image/png"}, {"type": "text", "text": "a dog [delay=600]"}]
    running = create(image)
    name = uri.split("files/")[1].split(":")[0]
    return {
        "created": [created.id, created.status],
        "video": video,
        "bytes": len(client.files.download(file=f"files/{name}")),
        "moderated": finished(create("a fish [moderate]")),
        "cancelled": client.interactions.cancel(running.id).status,
        "too_long": refused(lambda: create("a cow", duration="16s")),
        "unknown": refused(lambda: client.interactions.get("v1_nobody")),
    }


print(json.dumps(main()))
