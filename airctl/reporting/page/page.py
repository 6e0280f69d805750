"""report.html: one file that holds all of a run, or several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from airctl.reporting.html_file import html_file, script_json
from airctl.reporting.page.embedded import page_data
from airctl.reporting.page.run_report import RunReport
from airctl.reporting.page.view import page_view


def report_page(runs: Sequence[RunReport]) -> str:
    """The whole page for one run, or for several to compare."""
    return html_file("airctl.reporting.page", page_view(runs), script_json(page_data(runs)))
