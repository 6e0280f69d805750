"""report.html: one file that holds all of a run, or several runs side by side; no network, no other file.

Whatever comes from a run is escaped: text by the templates' autoescape, data as JSON in which no ``<`` is left. Beside
that the page's own policy lets the browser run the one script and the one style sheet of this package, known by their
sha256, and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from airctl.reporting.page.embedded import page_data
from airctl.reporting.page.run_report import RunReport
from airctl.reporting.page.view import page_view

if TYPE_CHECKING:
    from jinja2 import Environment


def report_page(runs: Sequence[RunReport]) -> str:
    """The whole page for one run, or for several to compare."""
    from markupsafe import Markup

    style, script = _own("page.css"), _own("page.js")
    policy = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
    policy += f"script-src '{_digest(script)}'; style-src '{_digest(style)}'"
    # Style, script and JSON are put in as they are: the first two are ours, and the third has no "<".
    return (
        _templates()
        .get_template("page.html.j2")
        .render(
            view=page_view(runs),
            policy=policy,
            style=Markup(style),
            script=Markup(script),
            data=Markup(_json(page_data(runs))),
        )
    )


def _templates() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(_own),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _own(name: str) -> str:
    """The text of a file of this package."""
    return resources.files("airctl.reporting.page").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, nor open a comment there."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
