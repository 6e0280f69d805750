"""Pictures and tables of what was measured; nothing here computes a result."""

from airctl.reporting.palette import step_colour
from airctl.reporting.pictures import scene_grid, scene_tile
from airctl.reporting.tables import count_table, found_table, info_lines, sweep_table, table
from airctl.reporting.variance_tables import variance_table
from airctl.reporting.verified import verified_table

__all__ = [
    "count_table",
    "found_table",
    "info_lines",
    "scene_grid",
    "scene_tile",
    "step_colour",
    "sweep_table",
    "table",
    "variance_table",
    "verified_table",
]
