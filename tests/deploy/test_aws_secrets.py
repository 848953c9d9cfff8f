"""What template.yaml writes in a secret's place names that secret, that key of it and that version, as AWS reads it.

Moto plays Secrets Manager. Its CloudFormation resolves no reference at all, so the text that a stack hands over is put
together and taken apart here, by AWS's own description of it; SAM and CloudFormation themselves are not proven.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.release.template import SECRETS, template
from tests.support.moto_server import Moto

#: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references-secretsmanager.html
#: {{resolve:secretsmanager:secret-id:secret-string:json-key:version-stage:version-id}}, secret-id a name or an ARN
REFERENCE = re.compile(
    r"{{resolve:secretsmanager:(?P<id>arn:[\w-]+:secretsmanager:[\w-]+:\d+:secret:[^:}]+|[^:}]+):SecretString"
    r":(?P<key>[^:}]+):(?P<stage>[^:}]*):(?P<version>[^:}]*)}}"
)
BEFORE, AFTER = ({name: f"{when} {name}" for name in SECRETS} for when in ("before", "after"))


def references() -> set[tuple[str, str]]:
    """Each setting that is secret, with what the template says in its place."""
    functions = [one for one in template()["Resources"].values() if one["Type"].endswith("::Function")]
    variables = [one["Properties"]["Environment"]["Variables"] for one in functions]
    return {(name, value["Fn::Sub"]) for each in variables for name, value in each.items() if name in SECRETS}


def resolved(client: Any, text: str, **parameters: str) -> str:
    """What a function is given, of a stack with these parameters."""
    named = re.sub(r"\${(\w+)}", lambda match: parameters[match[1]], text)
    found = REFERENCE.fullmatch(named)
    assert found, named
    which = {"VersionStage": found["stage"], "VersionId": found["version"]}
    asked = {name: value for name, value in which.items() if value}
    return json.loads(client.get_secret_value(SecretId=found["id"], **asked)["SecretString"])[found["key"]]


@pytest.fixture(scope="module")
def client(moto: Moto) -> Iterator[Any]:
    with moto.client("secretsmanager") as made:
        yield made


@pytest.fixture(scope="module")
def secret(client: Any) -> dict[str, str]:
    """A secret as docs/operations.md has it made, which was changed once."""
    made = client.create_secret(Name="generation-history", SecretString=json.dumps(BEFORE))
    changed = client.put_secret_value(SecretId=made["ARN"], SecretString=json.dumps(AFTER))
    return {"name": made["Name"], "arn": made["ARN"], "before": made["VersionId"], "after": changed["VersionId"]}


def test_every_secret_has_one_reference_that_all_functions_share():
    assert sorted(name for name, _ in references()) == sorted(SECRETS)


@pytest.mark.parametrize("by", ["name", "arn"])
@pytest.mark.parametrize(("version", "values"), [("before", BEFORE), ("after", AFTER)], ids=["before", "after"])
def test_a_reference_is_the_value_of_its_own_key_in_the_version_that_was_deployed(client, secret, by, version, values):
    stack = {"SecretName": secret[by], "SecretVersion": secret[version]}

    assert {name: resolved(client, text, **stack) for name, text in references()} == values


def test_the_default_name_is_the_one_to_make_it_by(secret):
    assert template()["Parameters"]["SecretName"]["Default"] == secret["name"]


@pytest.mark.parametrize(
    "wrong", [{"SecretName": "another"}, {"SecretVersion": "0" * 32}], ids=["no such secret", "no such version"]
)
def test_what_is_not_there_has_no_value(client, secret, wrong):
    stack = {"SecretName": secret["name"], "SecretVersion": secret["after"]} | wrong

    for _, text in references():
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            resolved(client, text, **stack)
