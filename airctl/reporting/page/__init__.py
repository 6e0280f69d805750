"""The page of a run, or of several: one HTML file that needs no network.

``view.py`` decides what stands on it, ``repeat.py`` which commands make it again, ``embedded.py`` what its script
reads; ``page.html.j2`` lays it out, ``page.css`` and ``page.js`` are its look and its behaviour.
"""

from airctl.reporting.page.page import report_page
from airctl.reporting.page.run_report import RunReport

__all__ = ["RunReport", "report_page"]
