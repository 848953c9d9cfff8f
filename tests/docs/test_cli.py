"""docs/cli.md: every command is there, with examples that are understood as they stand."""

import re
import shlex
from pathlib import Path

import click
import pytest

from generation_history.cli.commands import commands

TEXT = (Path(__file__).resolve().parents[2] / "docs/cli.md").read_text("utf-8")
EXAMPLES = re.findall(r"^generation-history (.*?)(?: &&.*)?$", TEXT, re.MULTILINE)


def test_every_command_is_explained_and_has_an_example():
    explained = set(re.findall(r"\*\*(\w+)\*\*", TEXT.partition("## Commands")[2].partition("## For scripts")[0]))

    assert explained == set(commands.commands)
    assert {example.split()[0] for example in EXAMPLES} - {"--help"} == set(commands.commands)


@pytest.mark.parametrize("example", [example for example in EXAMPLES if "--help" not in example])
def test_an_example_is_understood(example, tmp_path, monkeypatch):
    (tmp_path / "videos").mkdir()
    monkeypatch.chdir(tmp_path)
    name, *words = shlex.split(example)

    with commands.commands[name].make_context(name, words) as context:
        assert isinstance(context, click.Context)


def test_every_option_that_is_named_exists():
    known = {
        option
        for command in [commands, *commands.commands.values()]
        for parameter in command.params
        for option in parameter.opts
    }

    assert set(re.findall(r"`(--[a-z-]+)", TEXT)) <= known | {"--help"}


def test_the_help_tells_each_command_in_a_whole_sentence():
    _, _, told = commands.get_help(click.Context(commands, terminal_width=80)).partition("Commands:")
    assert len(told.split("\n  ")) == len(commands.commands) + 1
    assert "..." not in told
