"""Charts of the variance: every interval is whole, and what reaches zero is drawn as such."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from airctl.reporting.plots import Chart
from airctl.reporting.variance_charts import variance_by_estimator, variance_by_step


def row(value: float, error: float) -> dict[str, Any]:
    """One estimator's variance, the same in each group but in the head of z_pres, which has none."""
    group = {"total_variance": value, "total_variance_error": error}
    return {**group, "groups": {"theta": group, "phi": group, "z_pres": {**group, "total_variance": 0.0}}}


def segments(chart: Chart) -> list[tuple[np.ndarray, np.ndarray]]:
    """x and y of each line that has two points."""
    return [
        (np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float))
        for line in chart.figure.axes[0].lines
        if len(np.asarray(line.get_xdata())) == 2
    ]


def test_no_whisker_is_clipped() -> None:
    """Each 95% interval lies inside the axes from end to end, however wide it is beside the values."""
    rows = {"wide": row(100.0, 45.0), "far": row(1e6, 4.9e5), "exact": row(1.0, 1e-9)}
    chart = variance_by_estimator(rows, 7)
    low, high = chart.figure.axes[0].get_xlim()
    drawn = segments(chart)
    assert len(drawn) == 9
    for x, _ in drawn:
        assert low < x.min() <= x.max() < high
    ends = {(round(x.min(), 6), round(x.max(), 6)) for x, _ in drawn}
    assert (round(100 - 1.96 * 45, 6), round(100 + 1.96 * 45, 6)) in ends


def test_an_interval_that_reaches_zero_goes_to_the_edge_with_an_arrow() -> None:
    """Zero is nowhere on a logarithmic axis: the line ends at the edge, and an arrow says that it goes on."""
    chart = variance_by_estimator({"noisy": row(10.0, 9.0)}, 7)
    low, high = chart.figure.axes[0].get_xlim()
    assert {x.min() for x, _ in segments(chart)} == {low}
    assert max(x.max() for x, _ in segments(chart)) == pytest.approx(10 + 1.96 * 9)
    assert high > 10 + 1.96 * 9
    assert sum(line.get_marker() == "<" for line in chart.figure.axes[0].lines) == 3
    calm = variance_by_estimator({"calm": row(10.0, 1.0)}, 7)
    assert not any(line.get_marker() == "<" for line in calm.figure.axes[0].lines)


def test_variance_over_training_holds_its_whiskers_and_gaps() -> None:
    """An estimator that one checkpoint lacks is drawn at the others; no interval leaves the axes."""
    checkpoints = [
        {"step": 0, "estimators": {"a": row(1.0, 0.4)}},
        {"step": 50, "estimators": {"a": row(1e4, 5e3), "b": row(3.0, 0.1)}},
    ]
    chart = variance_by_step(checkpoints)
    low, high = chart.figure.axes[0].get_ylim()
    for _, y in segments(chart):
        assert low <= y.min() <= y.max() < high
    assert [mark.text.split(":")[0] for mark in chart.marks] == ["a, step 0", "a, step 50", "b, step 50"]
