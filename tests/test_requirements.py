"""requirements.txt is the lock file of constraints.txt: ``make lock`` writes it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_lock_file_has_the_pinned_versions_and_a_hash_for_each() -> None:
    """What both name has one version; nothing is without a hash; no place to load from is named, and no torch."""
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    text = (ROOT / "requirements.txt").read_text()
    lines = [line for line in text.replace("\\\n", "").split("\n") if line and not line.startswith("#")]
    locked = dict(re.findall(r"^([\w-]+)==([^\s;]+)", "\n".join(lines), re.MULTILINE))
    assert {name: version for name, version in locked.items() if pins.get(name, version) != version} == {}
    assert {"numpy", "pytest", "mkdocs", "onnx"} < locked.keys()
    assert [line for line in lines if not re.search("--hash=sha256:[0-9a-f]{64}", line)] == []
    assert "torch" not in locked
    assert "://" not in text
