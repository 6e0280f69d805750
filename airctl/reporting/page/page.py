"""report.html: one file that holds all of a run, or several runs side by side; no network, no other file.

Whatever comes from a run is escaped: text by ``html.escape``, data as JSON in which no ``<`` is left. Beside that the
page's own policy lets the browser run the one script and the one style sheet of this package, known by their sha256,
and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any

from airctl import config
from airctl.config import Config
from airctl.reporting.axes import LinearAxis
from airctl.reporting.figures import elbo_range, series, smooth
from airctl.reporting.pictures import STEP_COLOURS
from airctl.reporting.variance import WHOLE
from airctl.results.records import in_turn

Record = Mapping[str, Any]
_ALL = "all of it right"
MOST_SCENES = 480  # in the gallery of a page, of all runs together
_LINES = (STEP_COLOURS[6], STEP_COLOURS[4], STEP_COLOURS[2], STEP_COLOURS[5], STEP_COLOURS[0], STEP_COLOURS[1])


@dataclass(frozen=True)
class RunReport:
    """All that a page shows of one run, as its files have it."""

    name: str
    path: str
    config: Config
    command: str
    environment: Record
    data: Record
    metrics: Sequence[Record]
    frames: Sequence[Record]
    result: Record  # eval.json
    gallery: Record  # gallery.json
    variance: Record | None  # variance.json


def report_page(runs: Sequence[RunReport]) -> str:
    """The whole page for one run, or for several to compare."""
    style, script = (
        resources.files("airctl.reporting.page").joinpath(f"page.{kind}").read_text() for kind in ("css", "js")
    )
    title = " and ".join(run.name for run in runs) if len(runs) < 4 else f"{len(runs)} runs"
    sections = [
        ("numbers", "Numbers", _cards(runs[0]) if len(runs) == 1 else _comparison(runs)),
        ("training", "Figure 1: the same scenes over training", _figure_1(runs)),
        ("curves", "Training curves", _curves(runs)),
        ("confusion", "Counts", _confusions(runs)),
        ("scenes", "What became of each scene", _gallery(runs)),
        ("drawing", "What the model sees and draws", _DRAWING if len(runs) == 1 else ""),
        ("variance", "Variance of the gradient", _variance(runs)),
        ("repeat", "Repeat it", "".join(_repeat(run, len(runs) == 1) for run in runs)),
    ]
    shown = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{name}">{_SHORT[name]}</a>' for name, _, _ in shown)
    body = "".join(f'<section id="{name}"><h2>{head}</h2>{inner}</section>' for name, head, inner in shown)
    return _PAGE.format(
        title=escape(title),
        policy=f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"script-src '{_digest(script)}'; style-src '{_digest(style)}'",
        style=style,
        script=script,
        intro=_intro(runs),
        links=links,
        body=body,
        data=_json(_data(runs)),
    )


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} - airctl report</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header><p class="brand">airctl report</p><h1>{title}</h1>{intro}</header>
<nav><div>{links}</div></nav>
<main>
<noscript><p class="note">The numbers, curves and commands are all here; the pictures need JavaScript.</p></noscript>
{body}
</main>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""
_SHORT = {
    "numbers": "Numbers",
    "training": "Figure 1",
    "curves": "Curves",
    "confusion": "Counts",
    "scenes": "Scenes",
    "drawing": "Drawing",
    "variance": "Variance",
    "repeat": "Repeat it",
}
_DRAWING = """<h3>Glimpses and their reconstructions</h3>
<p>Each scene, then for each step what the glimpse sees and what is drawn from its z_what.</p>
<div id="glimpses" class="wide"></div>
<h3>Samples from the prior</h3><p>z_where and z_what from their priors, for one object and more.</p>
<div id="prior" class="wide"></div>
<h3>Traversal of z_what</h3><p>One object while one number of its z_what goes through the prior (in standard deviations)
and the others stay; the numbers are those that differ most between objects.</p>
<div id="traversal" class="wide"></div>"""


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(value: Any) -> str:
    """JSON that cannot end the script element it stands in, nor open a comment there."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _data(runs: Sequence[RunReport]) -> dict[str, Any]:
    """What the script draws from."""
    return {
        "colours": STEP_COLOURS,
        "runs": [
            {
                "name": run.name,
                "outcomes": run.result["outcomes"],
                "confusion": run.result["confusion"],
                "scenes": run.result["scenes"],
                "watched": run.frames[0]["scenes"] if run.frames else [],
                "frames": [_frame(run, frame) for frame in run.frames],
                "gallery": _some(run.gallery["scenes"], MOST_SCENES // len(runs)),
            }
            for run in runs
        ],
        **({name: runs[0].gallery[name] for name in ("glimpses", "prior", "traversal")} if len(runs) == 1 else {}),
    }


def _frame(run: RunReport, frame: Record) -> dict[str, Any]:
    step = frame["step"]
    told = {}
    for name, points in (
        ("elbo", smooth(series(run.metrics, "elbo"))),
        ("accuracy", series(run.metrics, "validation_accuracy")),
    ):
        told[name] = next((value for at, value in reversed(points) if at <= step), None)
    scenes = [{name: scene[name] for name in ("found", "boxes", "drawn")} for scene in frame["scenes"]]
    return {"step": step, **told, "scenes": scenes}


def _some(scenes: Sequence[Record], most: int) -> list[Record]:
    """At most ``most`` scenes in their order, each kind (outcome and counts) as fairly as it goes."""
    kinds = [(scene["outcome"], scene["true"], scene["found"]) for scene in scenes]
    return [scenes[i] for i in sorted(i for _, i in in_turn(kinds)[:most])]


# --- the sections ----------------------------------------------------------------------------------------------------


def _intro(runs: Sequence[RunReport]) -> str:
    if len(runs) > 1:
        return f"<p>{len(runs)} runs side by side.</p>"
    run = runs[0]
    return (
        f"<p>Preset {escape(run.config.preset)}, gradient estimator {escape(run.config.objective.estimator)}, "
        f"{_int(run.result['step'])} steps of {run.config.train.batch} scenes, seed {run.config.train.seed}. "
        f"Measured on {_int(run.result['scenes'])} scenes of the {escape(str(run.result['split']))} split.</p>"
    )


def _int(value: Any) -> str:
    return f"{int(value):,}".replace(",", "\u202f")


def _numbers(run: RunReport) -> dict[str, tuple[str, str]]:
    """By name: the number, and what it is."""
    result = run.result
    return {
        "count accuracy": (
            f"{result['count_accuracy']:.2%}",
            f"± {result['standard_error']:.2%}, most probable count, after the second look",
        ),
        "first pass": (
            f"{result['count_accuracy_amortised']:.2%}",
            f"before it; one sample of q(n): {result['count_accuracy_sampled']:.2%}",
        ),
        _ALL: (f"{result['outcomes']['right']:.2%}", "count, boxes and reconstruction"),
        "ELBO": (f"{result['elbo']:.1f}", "nats a scene"),
        "mean IoU": (f"{result['mean_iou']:.3f}", f"of {_int(result['objects'])} objects with their boxes"),
        "average precision": (f"{result['average_precision']:.3f}", "of the boxes, at IoU 0.5"),
    }


def _cards(run: RunReport) -> str:
    cards = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(words)}</small></dd></div>"
        for name, (value, words) in _numbers(run).items()
    )
    return f'<dl class="cards">{cards}</dl>'


def _comparison(runs: Sequence[RunReport]) -> str:
    rows = [["step", *(_int(run.result["step"]) for run in runs)]]
    numbers = [_numbers(run) for run in runs]
    rows += [[name, *(each[name][0] for each in numbers)] for name in numbers[0] if name != _ALL]
    for level in (0.95, 0.98):
        row = [f"steps to {level:.0%}"]
        for run in runs:
            accuracy = series(run.metrics, "validation_accuracy")
            row.append(next((_int(step) for step, value in accuracy if value >= level), "-"))
        rows.append(row)
    rows += [[name, *(f"{run.result['outcomes'][name]:.2%}" for run in runs)] for name in runs[0].result["outcomes"]]
    texts = [config.dumps(run.config).splitlines() for run in runs]
    settings = [_settings(lines) for lines in texts]
    rows += [
        [name, *(each.get(name, "-") for each in settings)]
        for name in settings[0]
        if len({each.get(name) for each in settings}) > 1
    ]
    return _table(["", *(run.name for run in runs)], rows)


def _settings(lines: Sequence[str]) -> dict[str, str]:
    """section.key -> value of a config as TOML."""
    found, section = {}, ""
    for line in lines:
        if line.startswith("["):
            section = line.strip("[]") + "."
        elif line:
            key, _, value = line.partition(" = ")
            found[section + key] = value.strip('"')
    return found


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _figure_1(runs: Sequence[RunReport]) -> str:
    if not any(run.frames for run in runs):
        return '<p class="note">This run kept no frames: it was trained before airctl made them.</p>'
    return (
        "<p>Scenes that the model is never trained on, with the glimpses it takes in the order of its steps; below "
        'each what it draws.</p><div class="slider"><button type="button" id="play">Play</button>'
        '<label for="step">training step</label><input type="range" id="step" min="0" value="0" step="1">'
        '<output id="at" for="step"></output></div><div class="legend" id="legend"></div><div id="frames"></div>'
    )


def _curves(runs: Sequence[RunReport]) -> str:
    last = max((row["step"] for run in runs for row in run.metrics), default=0)
    if not last:
        return '<p class="note">No step has been measured yet.</p>'
    held_out = {run.name: series(run.metrics, "validation_elbo") for run in runs}
    accuracy = {run.name: series(run.metrics, "validation_accuracy") for run in runs}
    trained = {run.name: smooth(series(run.metrics, "elbo")) for run in runs}
    if len(runs) == 1:
        elbo = {"training": trained[runs[0].name], "validation": held_out[runs[0].name]}
        accuracy = {"validation": accuracy[runs[0].name]}
    else:
        elbo = {name: line or trained[name] for name, line in held_out.items()}
    values = elbo_range(*elbo.values())
    charts = _chart("ELBO, nats a scene", elbo, values, last)
    charts += _chart("counts right in the validation scenes", accuracy, [0.0, 1.0], last)
    return f'<div class="charts">{charts}</div>'


def _chart(title: str, lines: Mapping[str, Sequence[tuple[int, float]]], values: Sequence[float], last: int) -> str:
    left, right, top, bottom = 62, 590, 16, 230
    x, y = LinearAxis(0, last, left, right), LinearAxis.over(values, bottom, top)
    percent = max(values, default=0) <= 1
    parts = [
        f'<line class="grid" x1="{left}" x2="{right}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        f'<text x="{left - 8}" y="{y(v) + 4:.1f}" text-anchor="end">{f"{v:.0%}" if percent else f"{v:g}"}</text>'
        for v in y.ticks()
    ]
    parts += [f'<text x="{x(v):.1f}" y="{bottom + 20}" text-anchor="middle">{_int(v)}</text>' for v in x.ticks()]
    parts += [f'<text x="{(left + right) / 2}" y="{bottom + 44}" text-anchor="middle">training step</text>']
    parts += [f'<line class="now" x1="{left}" x2="{left}" y1="{top}" y2="{bottom}"/>']
    keys = []
    for index, (name, points) in enumerate(lines.items()):
        colour = _LINES[(index + (list(lines) == ["validation"])) % len(_LINES)]
        at = [(x(step), y(value)) for step, value in points if value >= y.low]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="2" '
            f'points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in at)}"/>'
        )
        if name != "training":
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in at]
        dot = f'<svg class="key" viewBox="0 0 10 10"><circle cx="5" cy="5" r="5" fill="{colour}"/></svg>'
        keys.append(f"<span>{dot}{escape(name)}</span>")
    return (
        f'<figure><figcaption>{escape(title)} {"".join(keys)}</figcaption><svg viewBox="0 0 620 280" role="img" '
        f'aria-label="{escape(title)} against the training step" data-last="{last}" data-left="{left}" '
        f'data-right="{right}">{"".join(parts)}</svg></figure>'
    )


def _gallery(runs: Sequence[RunReport]) -> str:
    kept = sum(len(_some(run.gallery["scenes"], MOST_SCENES // len(runs))) for run in runs)
    several = '<div class="chips" id="by-run" role="group" aria-label="run"></div>' if len(runs) > 1 else ""
    return (
        "<p>Found from the true boxes, in the words of the report's Figure 2. Above: the scene with the glimpses taken "
        f"and the true boxes dashed; below: what was drawn. {_int(kept)} scenes are kept, some of each kind.</p>"
        f"{several}"
        '<div class="chips" id="by-outcome" role="group" aria-label="outcome"></div>'
        '<div class="chips"><label><input type="checkbox" id="true-boxes" checked> true boxes</label>'
        '<button type="button" id="cell" hidden></button><span id="shown" role="status"></span></div>'
        '<div class="tiles" id="gallery"></div><button type="button" id="more" hidden>Show more</button>'
    )


def _confusions(runs: Sequence[RunReport]) -> str:
    heads = [f"<h3>{escape(run.name)}</h3>" if len(runs) > 1 else "" for run in runs]
    tables = "".join(
        f"<div>{head}{_confusion(index, run.result['confusion'])}</div>"
        for index, (head, run) in enumerate(zip(heads, runs, strict=True))
    )
    return f'<p>A cell opens its scenes.</p><div class="matrices">{tables}</div>'


def _confusion(run: int, matrix: Sequence[Sequence[int]]) -> str:
    head = "".join(f'<th scope="col">{n}</th>' for n in range(len(matrix)))
    rows = []
    for true, row in enumerate(matrix):
        if not sum(row):
            continue
        cells = []
        for found, number in enumerate(row):
            share = number / sum(row)
            kind = "none" if not number else "hit" if true == found else "miss"
            level = min(4, int(share**0.5 * 5))
            cells.append(
                f'<td><button type="button" class="{kind} s{level}" data-run="{run}" data-true="{true}" '
                f'data-found="{found}"{"" if number else " disabled"}>{int(number)}<small>{share:.1%}</small></button>'
                "</td>"
            )
        rows.append(f'<tr><th scope="row">{true}</th>{"".join(cells)}</tr>')
    return (
        '<table class="confusion"><caption>true count (rows) against inferred count</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _variance(runs: Sequence[RunReport]) -> str:
    parts = []
    for run in runs:
        if run.variance is None:
            continue
        rows = [[name, *(show(row) for show in WHOLE.values())] for name, row in run.variance["estimators"].items()]
        name = f"<h3>{escape(run.name)}</h3>" if len(runs) > 1 else ""
        parts.append(
            f"{name}<p>Of {_int(run.variance['samples'])} gradient samples on one batch of "
            f"{_int(run.variance['batch'])} scenes, all parameters, at step {_int(run.variance['step'])}; the bias is "
            "against the exact gradient.</p>" + _table(["estimator", *(column.strip() for column in WHOLE)], rows)
        )
    return "".join(parts)


def _repeat(run: RunReport, alone: bool) -> str:
    path, result, data = run.path, run.result, run.data
    lines = []
    if "digits" in data:
        words = ["generate-data", data["path"], "--digits", data["digits"], "--preset", data["preset"]]
        for option in ("train", "test", "max_digits", "canvas", "seed"):
            words += [f"--{option.replace('_', '-')}", data[option]]
        lines.append(_command(words))
    if run.command.strip():
        lines.append(run.command.strip())
    again = ["train", data["path"], "--run", path, "--config", f"{path}/config.toml"]
    again += ["--threads", run.environment.get("threads", 1)]
    lines += ["# the same from the resolved config", _command(again)]
    words = ["eval", path, "--data", result["data"], "--split", result["split"], "--checkpoint", result["step"]]
    lines.append(_command([*words, "--num-steps", result["num_steps"], "--seed", result["seed"]]))
    if run.variance is not None:
        names = ",".join(run.variance["estimators"])
        words = ["variance-report", path, "--samples", run.variance["samples"], "--batch", run.variance["batch"]]
        words += ["--fit-steps", run.variance["fit_steps"], "--seed", run.variance["seed"], "--estimators", names]
        lines.append(_command([*words, "--checkpoint", run.variance["step"]]))
    lines.append(_command(["report", path]))
    environment = [[name, str(value)] for name, value in run.environment.items()]
    head = "" if alone else f"<h3>{escape(run.name)}</h3>"
    return (
        f"{head}<pre>{escape(chr(10).join(lines))}</pre>"
        f"<details><summary>Environment</summary>{_table(['what', 'which'], environment)}</details>"
        f"<details><summary>Resolved config</summary><pre>{escape(config.dumps(run.config))}</pre></details>"
        f"<details><summary>Data</summary><pre>{escape(json.dumps(data, indent=1))}</pre></details>"
    )


def _command(words: Sequence[Any]) -> str:
    return shlex.join(["airctl", *map(str, words)])
