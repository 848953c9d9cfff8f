"""Moto: a server that plays AWS's services, whose answers are moto's and whose memory ends with it."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import boto3
import requests
from moto.server import ThreadedMotoServer

LOOPBACK = "127.0.0.1"
REGION = "us-east-1"
#: Anybody's, as long as no keys are checked.
ANY_KEY = ("any-key", "any-secret")


class Moto:
    """A server on loopback, as long as the with block; one at a time, for moto's state is its module's."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(LOOPBACK, 0, verbose=False)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    @property
    def endpoint(self) -> str:
        """The URL to give a client of any service."""
        host, port = self._server.get_host_and_port()
        return f"http://{host}:{port}"

    @contextmanager
    def client(self, service: str) -> Generator[Any]:
        """A client of boto3's, as whoever owns the account."""
        key, secret = ANY_KEY
        made = boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )
        try:
            yield made
        finally:
            made.close()

    def new_user(self, name: str, *statements: dict[str, Any]) -> tuple[str, str]:
        """The key and secret of a user who may do what these statements of a policy say."""
        with self.client("iam") as iam:
            iam.create_user(UserName=name)
            policy = {"Version": "2012-10-17", "Statement": list(statements)}
            if statements:
                iam.put_user_policy(UserName=name, PolicyName="may", PolicyDocument=json.dumps(policy))
            key = iam.create_access_key(UserName=name)["AccessKey"]
        return key["AccessKeyId"], key["SecretAccessKey"]

    @contextmanager
    def checking_keys(self) -> Generator[None]:
        """In here each request's key, signature and right are checked, as AWS does; left alone it checks none."""
        self._check_after(0)
        try:
            yield
        finally:
            self._check_after(float("inf"))

    def _check_after(self, calls: float) -> None:
        requests.post(f"{self.endpoint}/moto-api/reset-auth", data=str(calls), timeout=10).raise_for_status()
