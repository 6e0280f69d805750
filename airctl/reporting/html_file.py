"""An HTML file that needs no network and no other file: template, style, script and data of a package of this one.

Whatever comes from a person's files is escaped: text by the templates' autoescape, data as JSON in which no ``<`` is
left. Beside that the page's own policy lets the browser run the one script and the one style sheet of the package,
known by their sha256, and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def html_file(package: str, view: Any, data: str) -> str:
    """``page.html.j2`` of ``package`` filled with ``view``, ``page.css``, ``page.js`` and ``data``, of ``script_json``.

    The template reads ``view``, ``policy``, ``style``, ``script`` and ``data``.
    """
    from markupsafe import Markup

    style, script = _own(package, "page.css"), _own(package, "page.js")
    policy = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
    policy += f"script-src '{_digest(script)}'; style-src '{_digest(style)}'"
    # Style, script and JSON are put in as they are: the first two are ours, and the third has no "<".
    return (
        _templates(package)
        .get_template("page.html.j2")
        .render(view=view, policy=policy, style=Markup(style), script=Markup(script), data=Markup(data))
    )


def script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, nor open a comment there; ``ValueError`` for NaN."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _templates(package: str) -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        loader=FunctionLoader(lambda name: _own(package, name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _own(package: str, name: str) -> str:
    """The text of a file of ``package``."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
