"""What a function's zip costs before it answers: unpacked, imported and called once, as DigitalOcean does it.

The platform's launcher is sent the zip as base64 within JSON, so that a zip of 20 MB takes 130 MB at once: of a small
function's memory this is the most that it ever needs.
"""

import base64
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PATIENCE_S: Final = 60

#: How a launcher loads the function in `folder`: that comes last on the path, and the module is named main__. A call is
#: of `name`, package/function.
LOAD: Final = """
os.chdir(folder)
sys.path.append(folder)
spec = importlib.util.spec_from_file_location("main__", folder + "/__main__.py")
sys.modules["main__"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
class Context:
    function_name, activation_id = "/namespace/" + name, "cold"
    def get_remaining_time_in_millis(self):
        return 29_000
"""
#: Its init, which is sent the zip, and its first call.
_LAUNCH: Final = f"""
import sys, time
began = time.perf_counter()
import base64, io, importlib.util, json, os, zipfile
value = json.loads(sys.stdin.readline())["value"]
archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(value["code"])))
folder, name = value["folder"], value["name"]
for entry in archive.namelist():
    os.makedirs(os.path.dirname(os.path.join(folder, entry)), exist_ok=True)
    with open(os.path.join(folder, entry), "wb") as file:
        file.write(archive.read(entry))
{LOAD}
os.dup2(2, 1)
answer = module.main(value["event"], Context())
took = (time.perf_counter() - began) * 1000
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
sys.stderr.write("\\n" + json.dumps({{"milliseconds": took, "kilobytes": int(peak), "answer": answer}}) + "\\n")
"""
_EVENT: Final[dict[str, Any]] = {
    "http": {"method": "GET", "path": "", "headers": {}, "queryString": "", "body": "", "isBase64Encoded": False}
}


@dataclass(frozen=True)
class ColdStart:
    """From where the launcher begins to its first answer, which says that settings are missing."""

    milliseconds: float
    megabytes: float
    answer: dict[str, object]


def cold_start(archive: Path) -> ColdStart:
    """How the function of this zip, packages/<package>/<function>.zip, starts in a process of its own."""
    name = f"{archive.parent.name}/{archive.stem}"
    with tempfile.TemporaryDirectory() as folder:
        code = base64.b64encode(archive.read_bytes()).decode()
        event: dict[str, Any] = {} if name in {"sora/poller", "ops/purge"} else _EVENT
        init = {"value": {"code": code, "folder": folder, "name": name, "event": event}}
        result = subprocess.run(
            # The interpreter itself, not the virtual environment's, whose packages would be found too.
            [str(Path(sys.executable).resolve()), "-I", "-c", _LAUNCH],
            input=json.dumps(init) + "\n",
            capture_output=True,
            text=True,
            check=False,
            env={},
            timeout=PATIENCE_S,
        )
    if result.returncode:
        raise SystemExit(f"{name} does not start: {result.stderr.strip().splitlines()[-1]}")
    report = json.loads(result.stderr.splitlines()[-1])
    return ColdStart(report["milliseconds"], report["kilobytes"] / 1000, report["answer"])
