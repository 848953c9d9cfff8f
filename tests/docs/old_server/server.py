"""An older installation's server: each route open to every origin, and a pipeline in a thread of its own."""

import os
import threading
from typing import Any

from dotenv import load_dotenv

load_dotenv()

from ad_cloner import AdCloner  # noqa: E402
from flask import Flask, jsonify, request  # noqa: E402
from flask_cors import CORS  # noqa: E402
from history_api import register_history_api  # noqa: E402
from pipeline_integrator import PipelineIntegrator  # noqa: E402

app = Flask("ad_cloner")
CORS(app)
register_history_api(app)


@app.post("/api/clone")
def clone() -> Any:
    integrator = PipelineIntegrator()
    level = request.json["aggression_level"]
    generation_id = integrator.start_generation(
        source_video_url=request.json["url"], source_video_type="url", variant_types=[level], cost_estimate=0.77
    )
    threading.Thread(target=run_pipeline, args=[integrator, generation_id, level]).start()
    return jsonify(generation_id=generation_id)


def run_pipeline(integrator: PipelineIntegrator, generation_id: str, level: str) -> None:
    try:
        AdCloner(integrator).run(generation_id, level)
    except Exception as error:
        integrator.mark_generation_failed(generation_id, str(error))
        raise


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), threaded=True)
