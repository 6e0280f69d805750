"""The page of counted pictures: one HTML file with a gallery, boxes to toggle, and a table to save; no network.

``page.py`` collects what streams in, ``compressed.py`` makes pictures small enough, ``page.html.j2`` lays it out,
``page.css`` and ``page.js`` are its look and its behaviour.
"""

from airctl.reporting.counts_page.page import CountsPage

__all__ = ["CountsPage"]
