"""The keys that sign the kinds' webhooks, and the headers that they put on one."""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import RSAAlgorithm
from standardwebhooks import Webhook

from scripts.local.simulator.jobs import Jobs

FAL_USER = "fal-user-of-the-simulator"
GEMINI_ISSUER = "https://generativelanguage.googleapis.com"
GEMINI_SECONDS = 300
_RSA_BITS = 2048
_SCHEMA = "create table if not exists keys (name text primary key, value text not null)"


class WebhookKeys:
    """The keys of one data folder, each made when it is first used."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        with jobs.transaction() as connection:
            connection.execute(_SCHEMA)

    def fal_jwks(self) -> Mapping[str, Any]:
        """The public half of fal's key."""
        public = base64.urlsafe_b64encode(self._fal().public_key().public_bytes_raw()).rstrip(b"=").decode()
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "x": public}]}

    def fal_headers(self, request_id: str, body: bytes, now: float) -> Mapping[str, str]:
        """The headers of a webhook of fal: Ed25519 over its id, the account, the time and the body's digest."""
        timestamp = str(int(now))
        message = "\n".join([request_id, FAL_USER, timestamp, hashlib.sha256(body).hexdigest()])
        return {
            "X-Fal-Webhook-Request-Id": request_id,
            "X-Fal-Webhook-User-Id": FAL_USER,
            "X-Fal-Webhook-Timestamp": timestamp,
            "X-Fal-Webhook-Signature": self._fal().sign(message.encode()).hex(),
        }

    def replicate_secret(self) -> str:
        """The secret of Replicate's webhooks."""
        return self._key("replicate", lambda: "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode())

    def replicate_headers(self, message_id: str, body: bytes, now: float) -> Mapping[str, str]:
        """The headers of a webhook of Replicate: Standard Webhooks."""
        signature = Webhook(self.replicate_secret()).sign(message_id, datetime.fromtimestamp(now, UTC), body.decode())
        return {"webhook-id": message_id, "webhook-timestamp": str(int(now)), "webhook-signature": signature}

    def gemini_jwks(self) -> Mapping[str, Any]:
        """The public half of Gemini's key."""
        public = RSAAlgorithm.to_jwk(self._gemini().public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self._gemini_id(), "alg": "RS256", "use": "sig"}]}

    def gemini_headers(self, message_id: str, event: Mapping[str, Any], url: str, now: float) -> Mapping[str, str]:
        """The headers of a webhook of Gemini: the event itself, as a JWT for this URL."""
        claims = {"iss": GEMINI_ISSUER, "aud": url, "iat": int(now), "exp": int(now) + GEMINI_SECONDS, **event}
        token = jwt.encode(claims, self._gemini(), algorithm="RS256", headers={"kid": self._gemini_id()})
        return {"webhook-id": message_id, "webhook-timestamp": str(int(now)), "webhook-signature": token}

    def rotate(self) -> None:
        """From now on only new keys sign, and are told."""
        with self._jobs.transaction() as connection:
            connection.execute("delete from keys")

    def _fal(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self._key("fal", lambda: secrets.token_hex(32))))

    def _gemini(self) -> rsa.RSAPrivateKey:
        key = serialization.load_pem_private_key(self._key("gemini", _new_rsa_key).encode(), password=None)
        return cast("rsa.RSAPrivateKey", key)

    def _gemini_id(self) -> str:
        numbers = self._gemini().public_key().public_numbers()
        return hashlib.sha256(json.dumps([numbers.n, numbers.e]).encode()).hexdigest()[:16]

    def _key(self, name: str, make: Callable[[], str]) -> str:
        with self._jobs.transaction() as connection:
            row = connection.execute("select value from keys where name = ?", [name]).fetchone()
            if row is not None:
                return row["value"]
            value = make()
            connection.execute("insert into keys (name, value) values (?, ?)", [name, value])
            return value


def _new_rsa_key() -> str:
    return (
        rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )
