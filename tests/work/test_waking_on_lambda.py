"""Waking the poller on AWS: an asynchronous call of the Lambda that the setting names, by whoever may call it.

Moto plays Lambda and IAM: it finds the function, checks key, signature and right, and answers 202. What it has no
container for, running the function, is noted instead. It asks for the right lambda:Invoke of everything, where AWS asks
for lambda:InvokeFunction of that function: what template.yaml allows is proven by its text (tests/deploy/test_aws.py).
And it refuses in XML, where Lambda speaks JSON, so that boto3 reads nothing but the status.
"""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from moto.awslambda.models import LambdaFunction

from generation_history.work.wakeup import wake_poller
from tests.support.moto_server import ANY_KEY, REGION, Moto
from tests.support.scripted_server import answer

POLLER, OTHER = "history-poller", "another-function"


@pytest.fixture(scope="module")
def _functions(moto: Moto) -> dict[str, str]:
    """The ARN of each function that there is, by its name."""
    with moto.client("iam") as iam:
        role = iam.create_role(RoleName="runs-functions", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("main.py", "def main(event, context): pass")
    code = {"ZipFile": archive.getvalue()}
    with moto.client("lambda") as client:
        made = {"Runtime": "python3.11", "Role": role, "Handler": "main.main", "Code": code}
        return {name: client.create_function(FunctionName=name, **made)["FunctionArn"] for name in (POLLER, OTHER)}


@pytest.fixture
def arn(_functions: dict[str, str]) -> str:
    """The poller's ARN."""
    return _functions[POLLER]


@pytest.fixture
def ran(arn: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Which functions were run, each with its event."""
    run: list[tuple[str, Any]] = []

    def note(function: LambdaFunction, event: Any) -> tuple[str, bool, str]:
        run.append((function.function_name, event))
        return "null", False, ""

    monkeypatch.setattr(LambdaFunction, "_invoke_lambda", note)
    return run


@pytest.fixture
def configured(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """As on Lambda: the setting, and the key of the function's role."""

    def configure(name: str, *, key: tuple[str, str] = ANY_KEY) -> None:
        monkeypatch.setenv("POLLER_WAKE_LAMBDA", name)
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", moto.endpoint)
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key[0])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key[1])

    return configure


@pytest.mark.parametrize("by", ["name", "ARN"])
def test_the_poller_is_called_once_with_an_empty_event(configured, ran, arn, caplog, by):
    configured(POLLER if by == "name" else arn)

    wake_poller()

    assert ran == [(POLLER, {})]
    assert "could not be woken" not in caplog.text


def test_a_function_that_is_not_there_is_told_in_the_log_and_nothing_is_run(configured, ran, caplog):
    configured("no-such-function")

    wake_poller()

    assert ran == []
    assert "the poller could not be woken: ResourceNotFoundException" in caplog.text


def may(action: str) -> dict[str, str]:
    return {"Effect": "Allow", "Action": action, "Resource": "*"}


def test_who_may_call_the_poller_wakes_it(moto, configured, ran):
    configured(POLLER, key=moto.new_user("wakes", may("lambda:Invoke*")))

    with moto.checking_keys():
        wake_poller()

    assert ran == [(POLLER, {})]


@pytest.mark.parametrize("rights", [[], ["lambda:GetFunction"]], ids=["nothing", "something else"])
def test_who_may_not_call_the_poller_is_told_so_in_the_log(moto, configured, ran, caplog, rights):
    key = moto.new_user(f"may-{len(rights)}", *[may(right) for right in rights])
    configured(POLLER, key=key)

    with moto.checking_keys():
        wake_poller()

    assert ran == []
    assert "the poller could not be woken: 403" in caplog.text
    assert key[1] not in caplog.text


def test_a_wrong_secret_is_told_in_the_log_and_stands_in_it_nowhere(moto, configured, ran, caplog):
    key, _ = moto.new_user("forgot", may("lambda:*"))
    configured(POLLER, key=(key, "a-wrong-secret"))

    with moto.checking_keys():
        wake_poller()

    assert ran == []
    assert "the poller could not be woken: 403" in caplog.text
    assert "a-wrong-secret" not in caplog.text


def test_a_refusal_is_told_in_awss_own_word(configured, scripted, monkeypatch, caplog):
    """As Lambda answers it; boto3 has no class of that name, and calls each such error a ClientError."""
    told = {"x-amzn-ErrorType": "AccessDeniedException"}
    scripted.script(answer(403, {"Message": "not authorized to perform: lambda:InvokeFunction"}, **told))
    configured(POLLER)
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", scripted.base_url)

    wake_poller()

    assert "the poller could not be woken: AccessDeniedException" in caplog.text
