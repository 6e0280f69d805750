"""The pages say what the code does: the config's keys, the public names, links, commands and their options."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import airctl
from airctl import cli, config
from airctl.cli.config_reference import reference
from airctl.errors import ConfigError

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "data/README.md"])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_docs_config_md_is_what_the_code_says() -> None:
    """Every key, word for word; ``make docs`` writes it anew."""
    assert text_of("docs/config.md") == reference()


@pytest.mark.parametrize("name", config.PRESETS)
def test_the_config_page_has_each_key_with_its_value_in_each_preset(name: str) -> None:
    """The generator leaves out no key, no explanation and no preset."""
    rows = [line.split(" | ") for line in reference().splitlines() if line.startswith("| ")]
    column = rows[0].index(next(cell for cell in rows[0] if cell.strip("` |") == name))
    told = {row[0].strip("`| "): (row[1], row[column].strip("`| ")) for row in rows}
    for section in dataclasses.fields(config.Config):
        values = getattr(config.preset(name), section.name)
        for field in dataclasses.fields(values) if dataclasses.is_dataclass(values) else ():
            meaning, value = told[f"{section.name}.{field.name}"]
            expected = getattr(values, field.name)
            assert meaning
            assert value == str(list(expected) if isinstance(expected, tuple) else expected)


def test_the_python_page_has_every_public_name() -> None:
    """Whatever ``airctl`` exports is explained in docs/api.md, and nothing else of ``airctl`` itself."""
    told = re.findall(r"^::: airctl\.(\w+)$", text_of("docs/api.md"), re.MULTILINE)
    assert sorted(told) == sorted(set(airctl.__all__) - {"__version__"})


def test_the_index_has_every_page() -> None:
    """docs/index.md and the site's navigation lead to each page of docs/."""
    pages = {page.name for page in ROOT.glob("docs/*.md")} - {"index.md"}
    assert pages - set(re.findall(r"\]\((\S+\.md)\)", text_of("docs/index.md"))) == set()
    assert pages - set(re.findall(r"(\S+\.md)$", text_of("mkdocs.yml"), re.MULTILINE)) == set()


def headings(page: Path) -> set[str]:
    lines = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL).splitlines()
    plain = [re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()) for line in lines if line.startswith("#")]
    return {heading.replace(" ", "-") for heading in plain}


def dead_links(page: Path, text: str) -> list[str]:
    """The links of ``text``, standing on ``page``, that lead to no file or heading of the repository."""
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    dead = []
    for path, anchor in (link.partition("#")[::2] for link in links if "://" not in link):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in headings(target)):
            dead.append(f"{path}#{anchor}")
    return dead


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_somewhere(page: str) -> None:
    """Each relative link and picture of each page is a file of the repository, each anchor a heading."""
    assert dead_links(ROOT / page, text_of(page)) == []


def test_a_dead_link_is_caught() -> None:
    """Negative control: a file, a folder step and a heading that are not there."""
    page = ROOT / "docs/index.md"
    text = "[a](cli.md#exit-codes) [b](nowhere.md) [c](../docs/nowhere.png) [d](cli.md#no-such-heading)"
    assert dead_links(page, text) == ["nowhere.md#", "../docs/nowhere.png#", "cli.md#no-such-heading"]


def commands_of(text: str) -> Iterator[str]:
    """The airctl commands in the code blocks of a page, one a line, comments taken off."""
    for block in re.findall(r"^```sh\n(.*?)^```|((?:^    .*\n)+)", text, re.DOTALL | re.MULTILINE):
        for line in "".join(block).replace("\\\n", " ").splitlines():
            yield from re.findall(r"(?:^|&& )\s*(?:\$ )?(airctl .*?)(?= &&|\s+#|$)", line)


def wrong_in(command: str) -> list[str]:
    """The words of ``airctl COMMAND ...`` that the program does not know: command, options, config settings."""
    words = command.replace("'", "").split()
    known = cli.airctl.commands  # type: ignore[attr-defined]
    name = type(cli.airctl).aliases.get(words[1], words[1])  # type: ignore[attr-defined]
    if name.startswith("-"):
        return []
    if name not in known:
        return [name]
    takes = [known[name], *([known["train"]] if name == "sweep" else [])]  # sweep hands the rest on to train
    options = {option for command in takes for parameter in command.params for option in parameter.opts} | {"--help"}
    wrong = [word for word in words if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in options]
    for before, word in itertools.pairwise(words):
        if before == "--set" and not re.search(r"\.\.|,|^K", word):
            try:
                config.override(config.Config(), [word])
            except ConfigError as error:
                wrong.append(str(error))
    return wrong


@pytest.mark.parametrize("page", NAMES)
def test_commands_of_the_pages_exist(page: str) -> None:
    """Each command in a code block, each of its options and each config key after --set is one that airctl has."""
    assert [f"{line}: {wrong}" for line in commands_of(text_of(page)) if (wrong := wrong_in(line))] == []


def test_a_command_that_is_not_there_is_caught() -> None:
    """Negative control: a wrong command, option and key, each in a block of its own kind."""
    text = "```sh\nairctl trian x.h5   # --run\nairctl eval runs/a --crowdy && airctl info x\n```\n\n"
    text += "    airctl train x.h5 --run runs/a --set model.hiden=3\n"
    lines = list(commands_of(text))
    assert lines == [
        "airctl trian x.h5",
        "airctl eval runs/a --crowdy",
        "airctl info x",
        "airctl train x.h5 --run runs/a --set model.hiden=3",
    ]
    assert [len(wrong_in(line)) for line in lines] == [1, 1, 0, 1]


SAID = {  # keys of report-2019.md and the presets whose value its row tells
    "report-2019": (
        "count.probability",
        "likelihood.sd",
        "model.glimpse_hidden",
        "model.num_steps",
        "model.what",
        "network.hidden",
        "network.predict_hidden",
        "objective.baseline_head",
        "objective.reward_constant",
        "optimiser.baseline_lr",
        "optimiser.lr",
        "train.batch",
        "train.steps",
    ),
    "report-2019-annealed": ("count.anneal_steps",),
}


def rows_about(key: str, page: str) -> list[str]:
    """The rows of the first table of ``page`` that name ``key``, thousands without their space."""
    table = page.partition("\n## ")[0]
    return [re.sub(r"(?<=\d) (?=\d{3})", "", line) for line in table.splitlines() if f"`{key}`" in line]


@pytest.mark.parametrize(("preset", "key"), [(preset, key) for preset, keys in SAID.items() for key in keys])
def test_the_page_of_the_report_tells_the_values_of_the_preset(preset: str, key: str) -> None:
    """Each choice of docs/report-2019.md, said by the report or taken by us, is the preset's."""
    section, name = key.split(".")
    value = getattr(getattr(config.preset(preset), section), name)
    written = "1e-4" if value == 1e-4 else f"{value:g}"
    rows = rows_about(key, text_of("docs/report-2019.md"))
    assert rows, f"no row names {key}"
    assert any(re.search(rf"(?<![\d.]){re.escape(written)}(?![\d.]\d)", row) for row in rows), (written, rows)
