"""What the documents say is what the program does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import airctl
from airctl import cli
from airctl.cli import json_reference
from airctl.cli.reference import reference
from airctl.results.as_json import rows

ROOT = Path(__file__).parents[2]


def test_docs_cli_md_is_what_the_commands_say() -> None:
    """Every command and option, word for word; ``make docs`` writes it anew."""
    assert (ROOT / "docs/cli.md").read_text(encoding="utf-8") == reference()


def test_docs_json_md_is_what_the_results_say() -> None:
    """Every key of every result, with its type, unit and meaning; ``make docs`` writes it anew."""
    assert (ROOT / "docs/json.md").read_text(encoding="utf-8") == json_reference.reference()


def test_every_key_of_every_result_has_a_meaning_and_is_snake_case() -> None:
    """No row of the table is empty, and no key has a capital letter or a space."""
    for kind, _ in json_reference.RESULTS.values():
        for key, type_name, _, meaning in rows(kind):
            assert meaning, key
            assert type_name, key
            assert re.fullmatch(r"[a-z0-9_]+", key.replace("[]", "").split(".")[-1]), key


def test_the_reference_names_every_command_option_and_alias() -> None:
    """The generator leaves nothing out."""
    told = reference()
    for name, command in cli.airctl.commands.items():
        section = told.split(f"## airctl {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            assert all(f"`{option}`" in section for option in parameter.opts if option.startswith("-"))
    assert all(f"`airctl {alias}`" in told for alias in type(cli.airctl).aliases)


def test_the_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its ten lines as they stand, but with fewer scenes and steps, so that they take seconds."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(code.strip().splitlines()) <= 12
    for told, smaller in {
        "train=20_000, test=1_000": "train=60, test=10",
        '["train.steps=1000"]': '["train.steps=2", "train.batch=4", "train.validation=20", "network.hidden=8"]',
        "samples=100": "samples=4, batch=4, fit_steps=1",
    }.items():
        assert told in code
        code = code.replace(told, smaller)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in "abc":
        Image.new("L", (60, 40), 255).save(tmp_path / f"photos/{name}.png")
    exec(compile(code, "README.md", "exec"), {})
    accuracy, variance, *found = capfd.readouterr().out.splitlines()
    assert 0 <= float(accuracy) <= 1
    assert float(variance) > 0
    assert [re.fullmatch(r"photos/([abc])\.png [0-3] \(.*\) \w+", line)[1] for line in found] == ["a", "b", "c"]  # type: ignore[index]


def test_everything_public_has_a_docstring_and_types() -> None:
    """Each name of ``airctl`` that can be called says what it does and what it takes."""
    for name in airctl.__all__:
        thing = getattr(airctl, name)
        if callable(thing):
            assert thing.__doc__, name
        if callable(thing) and not isinstance(thing, type):
            assert "return" in thing.__annotations__, name


@pytest.mark.parametrize("link", ["README.md", "docs/your-own-objects.md", "docs/cli.md"])
def test_links_of_the_documents_lead_somewhere(link: str) -> None:
    """Each relative link and picture is a file of the repository."""
    page = ROOT / link
    targets = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


def completed(words: str, shell: str = "bash") -> list[str]:
    line = words.split(" ")
    asked = {"_AIRCTL_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(line) - 1)}
    ended = subprocess.run(
        [sys.executable, "-m", "airctl"], env=os.environ | asked, capture_output=True, text=True, check=True
    )
    return [entry.partition(",")[2] for entry in ended.stdout.split()]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("airctl var", ["variance-report"]),
        ("airctl in", ["infer", "info"]),
        ("airctl train --tensor", ["--tensorboard"]),
        ("airctl train --preset p", ["paper"]),
        ("airctl infer --invert ", ["auto", "yes", "no", "each"]),
        ("airctl nothing-like-it", []),
    ],
)
def test_the_shell_completes_commands_options_and_words(words: str, wanted: list[str]) -> None:
    """What the completion script asks airctl for is answered."""
    assert completed(words) == wanted


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_the_documents_is_written(shell: str) -> None:
    """The line of docs/cli.md gives a script for this shell that calls airctl."""
    assert f"_AIRCTL_COMPLETE={shell}_source airctl" in reference()
    ended = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['airctl']; from airctl.cli import main; main()"],
        env=os.environ | {"_AIRCTL_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"_AIRCTL_COMPLETE={shell}_complete" in ended.stdout
