"""docs/config.md, from the config's own fields: ``python -m airctl.cli.config_reference > docs/config.md``."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
from collections.abc import Iterable
from typing import Any, get_type_hints

from airctl.config import PRESETS, Config
from airctl.model import COUNT_PRIORS, DECODERS, EMBEDDINGS, ENCODERS, LIKELIHOODS, NETWORKS, POSTERIORS
from airctl.model.recurrent import ATTENTION_INPUTS
from airctl.objectives import ESTIMATORS

# Keys whose words are the names of a table outside airctl.config.
TABLES: dict[str, Iterable[str]] = {
    "objective.estimator": ESTIMATORS,
    "network.kind": NETWORKS,
    "network.embedding": EMBEDDINGS,
    "network.attention_input": ATTENTION_INPUTS,
    "likelihood.kind": LIKELIHOODS,
    "count.kind": COUNT_PRIORS,
    "posterior.where": POSTERIORS,
    "posterior.what": POSTERIORS,
    "model.encoder": ENCODERS,
    "model.decoder": DECODERS,
}

HEAD = """\
# The config

Written by `make docs` from `airctl/config`; a test keeps the two equal. `airctl config` prints the config that a
training would have, with the same explanations, and `config.toml` in a run folder is the config that it had.

A config is a preset and what departs from it. On the command line that is one `--set` per key, or a file:

```sh
airctl train scenes.h5 --run runs/large --preset fast --set train.batch=128 --set train.seed=1
airctl config --set train.batch=128 > mine.toml
airctl train scenes.h5 --run runs/mine --config mine.toml
```

In Python:

```python
config = airctl.override(airctl.preset("fast"), ["train.batch=128", "train.seed=1"])
```

The file is read before `--set`; of two `--set` of one key the later counts. Values are written as in TOML; words need
no quotes. A misspelled key, a value of another type and a value out of range are errors before anything is written
(exit code 2). The tables give the value of each key in each preset.

"""


def reference() -> str:
    """The whole page."""
    config = Config()
    sections = [f for f in dataclasses.fields(config) if dataclasses.is_dataclass(getattr(config, f.name))]
    return HEAD + "\n".join(_section(f.name, getattr(config, f.name)) for f in sections)


def _section(name: str, defaults: Any) -> str:
    presets = list(PRESETS.values())
    types = get_type_hints(type(defaults))
    head = ["key", "meaning", "values", *(f"`{config.preset}`" for config in presets)]
    rows = [head, ["---"] * len(head)]
    for entry in dataclasses.fields(defaults):
        values = [getattr(getattr(config, name), entry.name) for config in presets]
        meaning = re.sub(r"docs/(\S+\.md)", r"[\1](\1)", entry.metadata["help"])
        choices = TABLES.get(f"{name}.{entry.name}", entry.metadata.get("choices", ()))
        allowed = _words(choices) if choices else _range(entry, types[entry.name])
        rows.append([f"`{name}.{entry.name}`", meaning, allowed, *map(_default, values)])
    table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
    return f"## {name}\n\n{inspect.cleandoc(defaults.__doc__ or '').replace('``', '`')}\n\n{table}\n"


def _words(choices: Iterable[str]) -> str:
    *words, last = (f"`{word}`" for word in choices)
    return f"{', '.join(words)} or {last}" if words else last


def _range(entry: dataclasses.Field[Any], kind: Any) -> str:
    noun = {int: "whole number", float: "number", str: "word"}.get(kind, "three numbers")
    low, high = entry.metadata.get("range", (-math.inf, math.inf))
    if math.isinf(low):
        return noun
    return f"{noun}, at least {low:g}" if math.isinf(high) else f"{noun}, {_bound(low)} to {_bound(high)}"


def _bound(value: float) -> str:
    return "2^63 - 1" if value == 2**63 - 1 else f"{value:g}" if isinstance(value, float) else f"{value}"


def _default(value: Any) -> str:
    return f"`{list(value) if isinstance(value, tuple) else value}`"


if __name__ == "__main__":
    print(reference(), end="")
