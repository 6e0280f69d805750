"""The old name of variance_tables.py, until commands/variance.py follows."""

from airctl.reporting.variance_tables import variance_table as variance_table
