"""Names of estimators, as people write them."""

from __future__ import annotations

from collections.abc import Sequence

from airctl.objectives import ESTIMATORS, require_known

ALIASES = {"reinforce": "score-function"}


def known_estimators(names: Sequence[str]) -> list[str]:
    """Those names, each once, and every estimator there is for "all"; ``ConfigError`` for one that there is not."""
    chosen = list(ESTIMATORS) if "all" in names else list(dict.fromkeys(ALIASES.get(name, name) for name in names))
    for name in chosen:
        require_known(name)
    return chosen
