"""The table of docs/future-work.md: every choice there is has a row, each row can be trained, no figure is typed."""

from __future__ import annotations

import shlex
from itertools import pairwise

from airctl import config as configs
from airctl.model import AIR, COUNT_PRIORS, DECODERS, EMBEDDINGS, ENCODERS, LIKELIHOODS, POSTERIORS, require_known
from benchmarks import future_work
from benchmarks.future_work import BEGIN, CHOICES, END, PAGE, SCENES, read_store, tables

TABLES = {
    "likelihood.kind": LIKELIHOODS,
    "count.kind": COUNT_PRIORS,
    "posterior.what": POSTERIORS,
    "model.encoder": ENCODERS,
    "model.decoder": DECODERS,
    "network.embedding": EMBEDDINGS,
}


def test_every_choice_but_the_defaults_has_a_row() -> None:
    """A new likelihood that is not measured is missed here."""
    usual = configs.settings(configs.preset("recurrent"))
    for key, table in TABLES.items():
        named = {choice.settings[key] for choice in CHOICES if key in choice.settings}
        assert set(table) - {usual[key]} == named, key
    assert len({choice.name for choice in CHOICES}) == len(CHOICES)


def test_each_row_is_a_config_that_can_be_trained() -> None:
    """On both kinds of scenes: known names, values in range, parts that go together; of the networks without zuko."""
    for choice in [one for one in CHOICES if one.cnn is None and not {"maf", "nsf"} & set(one.settings.values())]:
        for kind in SCENES:
            words = choice.train(kind, 0, 5, ["model.canvas=50"])
            settings = [word for before, word in pairwise(words) if before == "--set"]
            config = configs.override(configs.preset(choice.preset), [*settings, "model.object_size=20"])
            require_known(config)
            assert config.model.num_steps + config.network.dense <= 16
    assert AIR(config).reading_size == 12


def test_the_page_has_what_was_measured() -> None:
    """Its tables are made of docs/future-work.json; a store with another figure gives others."""
    page = PAGE.read_text(encoding="utf-8")
    store = read_store()
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == tables(store).strip()
    row = {"seed": 0, "steps": 5, "command": shlex.join(["airctl"]), "validation": 0.5, "test": None, "commit": "x"}
    assert tables({**store, "preset fast": {"0-2": [row]}}) != tables(store)
    assert "| preset fast | 0-2 | 5 | 1 | 50.00 % | 50.00 % |  |" in tables({"preset fast": {"0-2": [row]}})
    assert future_work.STORE.name == "future-work.json"
