"""template.yaml: the functions on AWS (SAM), a Lambda per endpoint module behind one HTTP API.

Routes are those of the modules' routers, settings and limits those of project.yml, so nothing is told twice. What is
secret is a key of one secret in Secrets Manager, resolved when the stack is deployed; the other settings are parameters
of the stack, with the defaults of .env.example. A role may do what its function does and nothing else.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import yaml
from dotenv import dotenv_values

from generation_history.api.app import resolver, routes_of
from generation_history.needs import Need, settings_of
from scripts.local.host.project import ROOT
from scripts.release.build import modules_of, needs_of, project_yml
from scripts.release.deploy import is_sketch

TEMPLATE: Final = ROOT / "template.yaml"
HEAD: Final = (
    "# Written by scripts/template, from project.yml and the routes of functions/; scripts/check compares it.\n"
)
#: An HTTP API gives up on its integration after 30 s.
WEB_SECONDS: Final = 29
#: With a Lambda's memory comes its share of a processor: 1,769 MB is one whole.
WEB_MEMORY, MEDIA_MEMORY = 512, 1769
#: Pollers at once: each has as many connections as it works on scenes.
POLLERS: Final = 2
#: Kept in the secret. A stack may refer to Secrets Manager 60 times, so each function has those alone that it reads.
SECRETS: Final = frozenset(
    {
        *("DATABASE_URL", "WORKER_DATABASE_URL", "OPENAI_API_KEY", "OPENAI_WEBHOOK_SECRET"),
        *("FAL_KEY", "REPLICATE_API_TOKEN", "RUNWAYML_API_SECRET", "GEMINI_API_KEY"),
        *("DO_SPACES_SECRET_KEY", "HISTORY_JWT_SECRET", "HEALTH_TOKEN"),
    }
)
MAX_REFERENCES: Final = 60
SCHEDULES: Final = {"poller": "rate(1 minute)", "purge": "cron(17 * * * ? *)"}
#: How a webhook wakes the poller: on DigitalOcean, and what is made here.
OTHER_PLATFORMS: Final = frozenset({"POLLER_WAKE_URL", "POLLER_WAKE_KEY", "POLLER_WAKE_LAMBDA"})

Resource = dict[str, Any]


def main() -> int:
    """Writes the template; with --check, 1 if the one that is there is another."""
    text = HEAD + yaml.safe_dump(template(), sort_keys=False, width=120, allow_unicode=True)
    if "--check" not in sys.argv:
        TEMPLATE.write_text(text, "utf-8")
        return 0
    if not TEMPLATE.exists() or TEMPLATE.read_text("utf-8") != text:
        print("template.yaml is not what the routes and project.yml make it: run scripts/template", file=sys.stderr)
        return 1
    return 0


def template() -> Resource:
    """The template, as JSON."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Description": "Generation History: a Lambda per endpoint behind an HTTP API, poller and purge on schedules.",
        "Parameters": {
            "SecretName": {
                "Type": "String",
                "Default": "generation-history",
                "Description": f"The secret in Secrets Manager whose JSON has the keys {', '.join(sorted(SECRETS))}.",
            },
            "SecretVersion": {
                "Type": "String",
                "Description": "The secret's VersionId: another one has every function read it anew.",
            },
            "Pollers": {
                "Type": "Number",
                "Default": POLLERS,
                "MinValue": 1,
                "Description": "So many at once, reserved of the account's concurrent executions.",
            },
            **_parameters(),
        },
        "Globals": {
            "Function": {
                "Runtime": "python3.11",
                "Architectures": ["x86_64"],
                "CodeUri": "build/aws/functions.zip",
                "MemorySize": WEB_MEMORY,
                "Timeout": WEB_SECONDS,
            }
        },
        "Resources": {**_layers(), "Api": {"Type": "AWS::Serverless::HttpApi"}, **dict(_functions())},
        "Outputs": {
            "ApiUrl": {
                "Description": "Where the paths of docs/api.md begin, after /api.",
                "Value": {"Fn::Sub": "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/api"},
            }
        },
    }


def _layers() -> dict[str, Resource]:
    return {
        f"{name.capitalize()}Layer": {
            "Type": "AWS::Serverless::LayerVersion",
            "Properties": {
                "ContentUri": f"build/aws/layers/{name}.zip",
                "CompatibleRuntimes": ["python3.11"],
                "CompatibleArchitectures": ["x86_64"],
                "RetentionPolicy": "Delete",
            },
        }
        for name in ("data", "media")
    }


def _functions() -> Iterator[tuple[str, Resource]]:
    for package, function, limits, settings in _deployed():
        if function in SCHEDULES:
            yield _name(function), _scheduled(package, function, limits, settings)
            continue
        modules = modules_of(package, function)
        for name, module in modules.items():
            events = {event: _event(method, path) for event, method, path in _events(_routes(module))}
            yield _name(name.rsplit(".", 1)[-1]), _web(f"{name}.main", events, settings, module.NEEDS)
        paths = sorted({path for module in modules.values() for _, path in _routes(module)})
        # It answers nobody's request but a browser's, about what may be done.
        preflight = {f"Options{number}": _event("OPTIONS", path) for number, path in enumerate(paths, 1)}
        # A browser asks what may be done at a path, which no single endpoint knows.
        yield _name(f"{function}_preflight"), _web(f"{package}.{function}.__main__.main", preflight, settings, None)


def _deployed() -> Iterator[tuple[str, str, Mapping[str, int], list[str]]]:
    project = cast("dict[str, Any]", yaml.safe_load(project_yml()))
    for package in project["packages"]:
        for function in package["functions"]:
            yield package["name"], function["name"], function["limits"], list(function["environment"])


def _routes(module: Any) -> list[tuple[str, str]]:
    """The methods and paths that an endpoint module answers."""
    return sorted({(route.method, f"/api{_braced(route)}") for route in routes_of(resolver(module.router))})


def _braced(route: Any) -> str:
    return re.sub(r"<(\w+)>", r"{\1}", str(route.path))


def _events(routes: list[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    for number, (method, path) in enumerate(routes, 1):
        yield f"{method.capitalize()}{number}", method, path
        if method == "GET":
            yield f"Head{number}", "HEAD", path


def _event(method: str, path: str) -> Resource:
    return {"Type": "HttpApi", "Properties": {"ApiId": {"Ref": "Api"}, "Method": method, "Path": path}}


def _web(handler: str, events: Resource, settings: list[str], needs: frozenset[Need] | None) -> Resource:
    """A Lambda that answers HTTP; where it needs nothing (None) it reads no secret."""
    properties: Resource = {
        "Handler": handler,
        "Layers": [{"Ref": "DataLayer"}],
        "Environment": {"Variables": _variables(_open(settings) if needs is None else _read_by(needs, settings))},
        "Events": events,
    }
    if needs and "wakeup" in needs:
        properties["Environment"]["Variables"]["POLLER_WAKE_LAMBDA"] = {"Ref": "Poller"}
        properties["Policies"] = [{"LambdaInvokePolicy": {"FunctionName": {"Ref": "Poller"}}}]
        # boto3, which calls it.
        properties["Layers"].append({"Ref": "MediaLayer"})
    return {"Type": "AWS::Serverless::Function", "Properties": properties}


def _scheduled(package: str, function: str, limits: Mapping[str, int], settings: list[str]) -> Resource:
    inspects = "inspection" in needs_of(package, function)
    return {
        "Type": "AWS::Serverless::Function",
        "Properties": {
            "Handler": f"{package}.{function}.__main__.main",
            "Layers": [{"Ref": "DataLayer"}, {"Ref": "MediaLayer"}],
            "MemorySize": MEDIA_MEMORY if inspects else WEB_MEMORY,
            "Timeout": limits["timeout"] // 1000,
            # Videos wait in /tmp while they are inspected.
            "EphemeralStorage": {"Size": 4096 if inspects else 512},
            "ReservedConcurrentExecutions": {"Ref": "Pollers"} if function == "poller" else 1,
            "Environment": {"Variables": _variables(settings)},
            "Events": {"Schedule": {"Type": "Schedule", "Properties": {"Schedule": SCHEDULES[function]}}},
            # A run that failed is followed by the next one; a second one beside it helps nobody.
            "EventInvokeConfig": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
        },
    }


def _variables(settings: list[str]) -> Resource:
    """Each setting from where it is kept, but for those of the other platform."""
    return {name: _value(name) for name in settings if name not in OTHER_PLATFORMS}


def _value(name: str) -> Resource:
    if name not in SECRETS:
        return {"Ref": _name(name.lower())}
    return {"Fn::Sub": f"{{{{resolve:secretsmanager:${{SecretName}}:SecretString:{name}::${{SecretVersion}}}}}}"}


def _parameters() -> Resource:
    """One for each setting that is no secret; what .env.example only sketches has no default."""
    example = dotenv_values(ROOT / ".env.example", interpolate=False)
    names = {name for _, _, _, settings in _deployed() for name in settings} - SECRETS - OTHER_PLATFORMS
    return {
        _name(name.lower()): {
            "Type": "String",
            "Description": name,
            **({} if is_sketch(example[name]) else {"Default": example[name]}),
        }
        for name in sorted(names)
    }


def _open(settings: list[str]) -> list[str]:
    return [name for name in settings if name not in SECRETS]


def _read_by(needs: frozenset[Need], settings: list[str]) -> list[str]:
    """Those of its deployed function, but for secrets that the module does not need."""
    return [name for name in settings if name not in SECRETS or name in settings_of(needs)]


def _name(words: str) -> str:
    return "".join(word.capitalize() for word in words.split("_"))


if __name__ == "__main__":
    sys.exit(main())
