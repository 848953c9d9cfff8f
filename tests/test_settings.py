"""A setting is understood as people write it, or refused by its name with what to write instead; never shown."""

from collections.abc import Callable
from typing import Any

import pytest

from generation_history import environment, provider_settings, settings
from generation_history.errors import NotConfigured

Setter = Callable[..., None]
SECRET = "a-secret-of-at-least-thirty-two-bytes"
JWT = {"HISTORY_ACCESS": "jwt", "HISTORY_JWT_SECRET": SECRET}
WAKE = {"POLLER_WAKE_URL": "https://faas.example/poller", "POLLER_WAKE_KEY": "dof_v1_id:secret"}


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Setter:
    def configure(values: dict[str, str]) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return configure


@pytest.mark.parametrize(
    "value",
    ["jwt api-key", "JWT API-KEY", "Jwt  Api-Key", "api-key jwt", "jwt jwt api-key", "jwt\napi-key"],
)
def test_ways_of_access_are_known_in_any_case(configured: Setter, value: str):
    configured(JWT | {"HISTORY_ACCESS": value})

    access = settings.access()

    assert access.jwt
    assert access.api_keys
    assert not access.single_owner


@pytest.mark.parametrize(
    "value",
    [
        ",",
        " , ,",
        "jwt,api-key",
        "jwt, api-key",
        "jwt;api-key",
        "api_key",
        "single_owner",
        "single-owner,jwt",
        "true",
        "jwt=",
    ],
)
def test_what_is_no_way_of_access_opens_nothing(configured: Setter, value: str):
    configured(JWT | {"HISTORY_ACCESS": value})

    with pytest.raises(NotConfigured, match=r"^HISTORY_ACCESS must be one of"):
        settings.access()


QUOTED = ['"{}"', "'{}'", "`{}`", "\u201c{}\u201d"]


@pytest.mark.parametrize("quoted", QUOTED)
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("HISTORY_ACCESS", settings.access),
        ("HISTORY_JWT_SECRET", settings.access),
        ("HISTORY_JWT_ISSUER", settings.access),
        ("HISTORY_CORS_ORIGINS", settings.cors_origins),
        ("HEALTH_TOKEN", settings.health_token),
        ("POLLER_WAKE_KEY", settings.wake),
        ("WORKER_CONCURRENCY", settings.worker),
        ("OPENAI_API_KEY", provider_settings.provider_key),
        ("HISTORY_TOKEN", settings.api),
        ("HISTORY_URL", settings.api),
    ],
)
def test_quotes_around_a_value_are_refused_by_name(configured: Setter, quoted: str, name: str, read: Callable[[], Any]):
    configured(JWT | WAKE | {name: quoted.format("something-that-is-secret-enough")})

    with pytest.raises(NotConfigured, match=f"^{name} has quotes around its value") as refused:
        read()

    assert "secret-enough" not in str(refused.value)


@pytest.mark.parametrize("value", ["\ufeff{}", "{}\u200b", "{}\x7f", "a\x00b{}", "{}\udcff"])
def test_what_cannot_be_seen_is_refused_by_name(configured: Setter, monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setattr(environment.os, "environ", {"HEALTH_TOKEN": value.format(SECRET)})

    with pytest.raises(NotConfigured, match=r"^HEALTH_TOKEN has a character that cannot be seen"):
        settings.health_token()


def test_a_whole_line_of_a_file_is_refused_by_name(configured: Setter):
    configured({"HEALTH_TOKEN": f"HEALTH_TOKEN={SECRET}"})

    with pytest.raises(NotConfigured, match=r"^HEALTH_TOKEN begins with its own name"):
        settings.health_token()


def test_white_space_around_a_value_is_no_part_of_it(configured: Setter):
    configured({"HEALTH_TOKEN": f" {SECRET}\r\n"})

    assert settings.health_token() == SECRET


@pytest.mark.parametrize("token", ["a token of several words", "geheim-wörtlich-lang", "x" * 15])
def test_a_token_that_no_header_carries_is_refused(configured: Setter, token: str):
    configured({"HEALTH_TOKEN": token})

    with pytest.raises(NotConfigured, match=r"^HEALTH_TOKEN must be"):
        settings.health_token()


@pytest.mark.parametrize(
    "number", ["+5", "1_0", "\uff15", "\u0665", "5.0", "0x5", "5 0", "1e1", "five", "9" * 5000, "-1"]
)
def test_a_number_is_of_the_digits_0_to_9_alone(configured: Setter, number: str):
    configured({"WORKER_CONCURRENCY": number})

    with pytest.raises(NotConfigured, match=r"^WORKER_CONCURRENCY must be a whole number from 1 to 32"):
        settings.worker()


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7",
        '{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}',
        "https://id.example/.well-known/jwks.json",
        "c2hvcnQ=",
    ],
)
def test_what_is_no_shared_secret_is_refused_before_any_token_comes(configured: Setter, secret: str):
    configured(JWT | {"HISTORY_JWT_SECRET": secret})

    with pytest.raises(NotConfigured, match=r"^HISTORY_JWT_SECRET ") as refused:
        settings.access()

    assert secret not in str(refused.value)


@pytest.mark.parametrize("name", ["HISTORY_JWT_ISSUER", "HISTORY_JWT_AUDIENCE"])
def test_a_token_has_one_issuer_and_audience(configured: Setter, name: str):
    configured(JWT | {name: "https://a.example https://b.example"})

    with pytest.raises(NotConfigured, match=f"^{name} must be one text"):
        settings.access()


@pytest.mark.parametrize(
    "origin",
    ["https://app.example/", "https://a.example,b.example", "https://münchen.example", "https://a.example:443"],
)
def test_an_origin_that_no_browser_sends_is_refused_with_the_form_that_it_sends(configured: Setter, origin: str):
    configured({"HISTORY_CORS_ORIGINS": origin})

    with pytest.raises(NotConfigured, match=r"^HISTORY_CORS_ORIGINS must be .* https://app.example"):
        settings.cors_origins()


@pytest.mark.parametrize("origin", ["https://xn--mnchen-3ya.example", "http://localhost:3000", "http://[::1]:3000"])
def test_an_origin_is_what_a_browser_sends(configured: Setter, origin: str):
    configured({"HISTORY_CORS_ORIGINS": origin})

    assert settings.cors_origins() == {origin}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"POLLER_WAKE_KEY": "Basic ZG9mX3YxOnNlY3JldA=="}, "POLLER_WAKE_KEY"),
        ({"POLLER_WAKE_KEY": "dof_v1_id"}, "POLLER_WAKE_KEY"),
        ({"POLLER_WAKE_KEY": ":secret"}, "POLLER_WAKE_KEY"),
        ({"POLLER_WAKE_LAMBDA": "https://lambda.example/poller"}, "POLLER_WAKE_LAMBDA"),
        ({"POLLER_WAKE_LAMBDA": "two names"}, "POLLER_WAKE_LAMBDA"),
    ],
)
def test_a_way_to_wake_that_cannot_work_is_refused(configured: Setter, changed: dict[str, str], named: str):
    configured(WAKE | changed)

    with pytest.raises(NotConfigured, match=f"^{named} must be"):
        settings.wake()


@pytest.mark.parametrize("name", ["history-poller", "arn:aws:lambda:us-east-1:123456789012:function:poller:live"])
def test_a_lambda_is_named_or_given_by_its_arn(configured: Setter, name: str):
    configured({"POLLER_WAKE_LAMBDA": name})

    assert settings.wake().lambda_name == name


@pytest.mark.parametrize(
    "secret", ["whsec_%%%", "whsec_", "whpk_c2VjcmV0LXNlY3JldC1zZWNyZXQ=", "v1,", "short", "[whsec_c2Vj]"]
)
def test_a_webhook_secret_is_refused_before_any_delivery_comes(configured: Setter, secret: str):
    """scripts/deploy asks for it."""
    configured({"OPENAI_WEBHOOK_SECRET": f"whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ= {secret}" if secret != "v1," else secret})

    with pytest.raises(NotConfigured, match=r"^OPENAI_WEBHOOK_SECRET") as refused:
        provider_settings.webhook_secrets()

    assert "c2VjcmV0" not in str(refused.value)
