"""docs/json.md, from the results themselves: ``python -m airctl.cli.json_reference > docs/json.md`` (``make docs``)."""

from __future__ import annotations

from typing import Any

from airctl.results import as_json
from airctl.results.evaluation import Evaluation
from airctl.results.found import FoundPicture
from airctl.results.generated import Generated, GeneratedCells
from airctl.results.imported import Imported
from airctl.results.summary import DataSummary, ModelSummary, RunSummary
from airctl.results.sweep import SweepResult
from airctl.results.training import TrainResult
from airctl.results.variance import VarianceReport
from airctl.results.verified import Verified

HEAD = f"""\
# Results as JSON

Written by `make docs` from the results themselves; a test keeps the two equal. `--json` prints one object on stdout
(`infer` and `count` one per picture, each on a line). The same objects are the result files of a run folder, there with
one more key: `sha256`, of all the others as JSON on one line with sorted keys. `airctl verify` checks it.

Every object has `"schema": {as_json.SCHEMA}`, which changes when a key is renamed or means something else; a new key
does not change it, so ignore keys that you do not know. Keys are snake_case. A number that is not finite is `null`.
`NAME` stands for the keys of an object whose keys are data, `[]` for the items of a list. "pixels" are those of the
canvas unless the table says otherwise, ELBOs are in nats per scene.

"""

RESULTS: dict[str, tuple[type[Any], str]] = {
    "generate-data": (Generated, ""),
    "generate-cells": (GeneratedCells, ""),
    "train": (TrainResult, ""),
    "eval": (
        Evaluation,
        "Kept as `eval-SPLIT.json` for the run's own data, and as `eval-SPLIT-STEM-SHA256.json`, with the first eight "
        "digits of the file's sha256, for other data. `--num-steps`, `--checkpoint` and `--seed` add "
        "`-steps=N`, `-checkpoint=WHICH` and `-seed=N` where they are not the defaults.",
    ),
    "variance-report": (VarianceReport, "Kept as `variance.json`."),
    "infer": (FoundPicture, ""),
    "count": (FoundPicture, ""),
    "import": (Imported, ""),
    "sweep": (SweepResult, "Kept as `sweep.json` in the folder of the sweep."),
    "info DATA.h5": (DataSummary, ""),
    "info RUN": (RunSummary, ""),
    "info FILE.airctl": (ModelSummary, ""),
    "verify": (Verified, ""),
}


def reference() -> str:
    """The whole page."""
    sections = [_section(name, kind, words) for name, (kind, words) in RESULTS.items()]
    return HEAD + "\n".join(sections)


def _section(name: str, kind: type[Any], words: str) -> str:
    lines = [f"## airctl {name} --json", "", *([words, ""] if words else [])]
    lines += ["| key | type | unit | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{key}` | {type_name} | {unit} | {meaning.replace('|', chr(92) + '|')} |"
        for key, type_name, unit, meaning in [("schema", "integer", "", "number of this format"), *as_json.rows(kind)]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
