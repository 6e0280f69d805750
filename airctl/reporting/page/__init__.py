"""The page of a run, or of several: one HTML file."""

from airctl.reporting.page.page import RunReport, report_page

__all__ = ["RunReport", "report_page"]
