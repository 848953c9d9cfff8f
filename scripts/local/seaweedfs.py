"""An S3-compatible store of our own on loopback, its data in a folder."""

import importlib
import signal
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from scripts.local import ports, process

_READY_S = 60
_STOP_S = 0.2  # Left alone it takes up to 15 s; it loses nothing when killed.

_WEED = Path(sysconfig.get_path("scripts"), "weed")

# All it listens on beside s3.port. Where no .grpc port is named it takes the one 10000 above its sibling.
_SERVICES = ("s3", "master", "volume", "filer", "admin")
_INNER_PORTS = (*(f"{name}.port.grpc" for name in _SERVICES), *(f"{name}.port" for name in _SERVICES[1:]))

_FLAGS = {
    "dir": ".",
    "ip": ports.LOOPBACK,
    "ip.bind": ports.LOOPBACK,
    "master.telemetry": "false",
    # All it would resume the volumes tell it anyway; resuming made one start in ten hang for 5 to 15 s.
    "master.resumeState": "false",
    "admin.ui": "false",
    "webdav": "false",
    "s3.port.iceberg": "0",
    "s3.port.lance": "0",
    "s3.iam": "false",
    # Pages may read what a bucket's own rules allow, as at real ones; left alone it lets all of them.
    "s3.allowedOrigins": "none.invalid",
    "filer.allowedOrigins": "none.invalid",
    # A bucket that is missing, or not empty, is an error at the real one.
    "s3.autoCreateBucket": "false",
    "s3.allowDeleteBucketNotEmpty": "false",
    # A bucket takes a volume of its own. Left alone it allows as many as the free disk could hold full: 43 on 48 GB.
    "volume.max": "2000",
    "s3.localSocket": "s3.sock",
    "filer.localSocket": "filer.sock",
}

# One file a severity, each of a megabyte, in our folder; errors also go to the log.
_LOGGING = {
    "logdir": "logs",
    "alsologtostderr": "false",
    "stderrthreshold": "ERROR",
    "log_max_size_mb": "1",
    "log_max_files": "1",
}

_CLIENT = Config(
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    connect_timeout=1,
    read_timeout=5,
    retries={"total_max_attempts": 1},
    proxies={},
)
_PROBE = ".is-it-ready"
#: As docs/operations.md has it for the library page: its downloads are read by the page.
_CORS = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "AllowedHeaders": ["*"]}]}


class SeaweedFS:
    """A server that lives from start() to stop(), or as long as the with block, and never longer than its parent.

    What is stored in `data` outlives every end, also SIGKILL; one server at a time may use it. Only requests signed
    with the given key are answered, others get 403. `port` is the S3 endpoint's; without it, and for everything else,
    start() takes free ones. The log stands beside `data`.
    """

    def __init__(self, data: Path, *, port: int | None = None, access_key: str, secret_key: str, bucket: str) -> None:
        self.data = data.absolute()
        self.log = self.data.with_name(f"{data.name}.log")
        self.port = port or 0
        self.bucket = bucket
        self._fixed_port = port
        self._access_key = access_key
        self._secret_key = secret_key
        self._inner_ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns once the bucket exists and stores, returns and deletes; raises StartError or PortTakenError.

        A name that no bucket may have raises botocore's ClientError. The server dies with the thread
        that calls this, see process.start.
        """
        (self.data / "logs").mkdir(parents=True, exist_ok=True)
        self.port = self._choose_port()
        self._inner_ports = self._choose_inner_ports()
        self._process = process.start(self._command(), log=self.log, env=self._environment(), cwd=self.data)
        try:
            self._wait_until_it_stores(self._process)
        except BaseException:
            self.stop()
            raise

    @property
    def endpoint(self) -> str:
        """The URL to give an S3 client, valid once started."""
        return f"http://{ports.LOOPBACK}:{self.port}"

    def stop(self) -> None:
        """Returns once the server has ended, within a second; a second call does nothing."""
        if self._process is not None:
            process.stop(self._process, sig=signal.SIGTERM, timeout=_STOP_S)
            self._process = None
            self._remove_sockets()

    def _choose_port(self) -> int:
        if self._fixed_port is None:
            return ports.free_port()
        ports.require_free(self._fixed_port, user="SeaweedFS")
        return self._fixed_port

    def _choose_inner_ports(self) -> dict[str, int]:
        """Those of the last start, when they can be had: folders and sockets are named after them and would pile up."""
        file = self.data / "ports"
        numbers = [int(port) for port in file.read_text().split()] if file.exists() else []
        if len(numbers) != len(_INNER_PORTS) or self.port in numbers or not all(map(ports.is_free, numbers)):
            numbers = ports.free_ports(len(_INNER_PORTS), avoid=[self.port])
            file.write_text(" ".join(map(str, numbers)))
        return dict(zip(_INNER_PORTS, numbers, strict=True))

    def _command(self) -> list[str]:
        flags = {**_FLAGS, **self._inner_ports, "s3.port": self.port}
        return [str(_WEED), *_as_flags(_LOGGING), "mini", *_as_flags(flags)]

    def _environment(self) -> dict[str, str]:
        """All that the server sees of the environment: a command line would show the secret to every user."""
        return {
            "HOME": str(self.data),
            "AWS_ACCESS_KEY_ID": self._access_key,
            "AWS_SECRET_ACCESS_KEY": self._secret_key,
        }

    def _wait_until_it_stores(self, server: subprocess.Popen[bytes]) -> None:
        client = self._client()
        try:
            process.wait_until(lambda: self._stores(client), process=server, log=self.log, timeout=_READY_S)
        finally:
            client.close()

    def _stores(self, client: Any) -> bool:
        """Whether an object can be put, read and deleted, in the bucket, which is made if it is missing."""
        try:
            if self.bucket not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket=self.bucket)
            client.put_bucket_cors(Bucket=self.bucket, CORSConfiguration=_CORS)
            client.put_object(Bucket=self.bucket, Key=_PROBE, Body=b"yes")
            content = client.get_object(Bucket=self.bucket, Key=_PROBE)["Body"].read()
            client.delete_object(Bucket=self.bucket, Key=_PROBE)
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidBucketName":
                raise
            return False
        except BotoCoreError:
            return False
        return content == b"yes"

    def _client(self) -> Any:
        # boto3 has no types; importing it takes as long as the server takes to boot, so it is done meanwhile.
        return importlib.import_module("boto3").client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self._access_key,
            aws_secret_access_key=self._secret_key,
            region_name="us-east-1",
            config=_CLIENT,
        )

    def _remove_sockets(self) -> None:
        """Removes what the server leaves in /tmp when it is killed; it cannot be told another place."""
        for service in _SERVICES:
            port = self._inner_ports[f"{service}.port.grpc"]
            Path(f"/tmp/seaweedfs-{service}-grpc-{port}.sock").unlink(missing_ok=True)  # noqa: S108


def _as_flags(flags: Mapping[str, str | int]) -> list[str]:
    return [f"-{name}={value}" for name, value in flags.items()]
