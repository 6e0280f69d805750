"""Tables as aligned text for a terminal, which are Markdown as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airctl.reporting.dataset import statistics_lines
from airctl.reporting.words import VERDICTS, outcome_label
from airctl.results.sweep import LEVELS


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are padded, so that it reads as well in a terminal; numbers stand right."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = f"|{'-' * (widths[0] + 2)}|" + "".join(f"{'-' * (width + 1)}:|" for width in widths[1:])
    return "\n".join([line(header), rule, *map(line, rows)])


def count_table(result: dict[str, Any]) -> str:
    """The confusion matrix of ``evaluate`` with the accuracy of each true count, and the summary under it."""
    confusion = _without_empty_columns(result["confusion"])
    header = ["true \\ inferred", *map(str, range(len(confusion[0]))), "accuracy"]
    rows = [
        [str(n), *map(str, row), f"{row[n] / sum(row):.2%}" if sum(row) else "-"]
        for n, row in enumerate(confusion)
        if sum(row)
    ]
    return (
        f"{table(header, rows)}\n\n"
        f"count accuracy {result['count_accuracy']:.2%} ± {result['standard_error']:.2%} on {result['scenes']} scenes "
        f"(one posterior sample {result['count_accuracy_sampled']:.2%}), "
        f"objective {result['elbo']:.1f} nats per scene;\n"
        f"boxes: mean IoU {_iou(result)}, average precision at IoU 0.5 {result['average_precision']:.3f} "
        f"({result['objects']} objects){_densities(result)}\n\n"
        f"{outcome_table(result)}"
    )


def _without_empty_columns(confusion: list[list[int]]) -> list[list[int]]:
    """The matrix up to the largest count that is true or inferred anywhere."""
    most = max((n for row in confusion for n, scenes in enumerate(row) if scenes), default=0)
    most = max(most, *(n for n, row in enumerate(confusion) if sum(row)), 0)
    return [row[: most + 1] for row in confusion]


def _densities(result: dict[str, Any]) -> str:
    """What is known of them; older results have none."""
    told = ""
    if (bits := result.get("bits_per_dimension")) is not None:
        told += f";\nat most {bits:.3f} bits per dimension"
    if (nats := result.get("log_likelihood")) is not None:
        error = result["log_likelihood_error"]
        scatter = "" if error is None else f" ± {error:.1f}"
        told += f", log p(x) {nats:.1f}{scatter} nats per scene ({result['log_likelihood_samples']} samples each)"
    return told


def _iou(result: dict[str, Any]) -> str:
    return "-" if result["mean_iou"] is None else f"{result['mean_iou']:.3f}"


def outcome_table(result: dict[str, Any]) -> str:
    """The share of each outcome: right, or one of the failures named in Figure 2 of Drelich (2019)."""
    rows = [
        [outcome_label(name), str(round(share * result["scenes"])), f"{share:.2%}"]
        for name, share in result["outcomes"].items()
    ]
    return table(["outcome", "scenes", "share"], rows)


def sweep_table(result: dict[str, Any]) -> str:
    """All runs of a sweep, a line each, and what they come to."""
    header = ["run", f"{result['split']} accuracy", *(f"steps to {level}%" for level in LEVELS)]
    rows = [
        [row["run"], _accuracy_of(row), *(str(row[f"steps_to_{level}"] or "-") for level in LEVELS)]
        for row in result["runs"]
    ]
    if result["mean"] is None:
        names = ", ".join(result["unfinished"])
        told = f"no mean yet: {len(result['unfinished'])} of {len(rows)} runs are unfinished ({names})"
    else:
        reached = ", ".join(f"{result[f'reached_{level}']:.0%} of the runs at {level}% or more" for level in LEVELS)
        told = f"mean of all {len(rows)} runs {result['mean']:.2%}, worst {result['worst']:.2%}; {reached}"
    return f"{table(header, rows)}\n\n{told}"


def _accuracy_of(row: dict[str, Any]) -> str:
    return "-" if row["accuracy"] is None else f"{row['accuracy']:.2%}" + " (failed)" * (row["status"] == "failed")


def found_table(rows: Sequence[dict[str, Any]]) -> str:
    """What was found, a row per picture: the count with its probability, how well it is explained, and a warning."""
    lines = [
        [row["image"], str(row["count"]), probability_of(row), f"{row['fit']:.1%}", VERDICTS[row["verdict"]]]
        for row in rows
    ]
    return table(["picture", "count", "probability", "explained", ""], lines)


def probability_of(row: dict[str, Any]) -> str:
    """That of a picture's count; a dash if objects were left out after it was read."""
    place = row["count"] - row["first"]
    known = 0 <= place < len(row["probabilities"])
    return f"{row['probabilities'][place]:.1%}" if known else "-"


def _content(told: dict[str, Any]) -> str:
    how = told["picture"]
    if how is None:
        return f"{told['min_digits']} to {told['max_digits']} objects"
    ground = "dark on bright" if how["invert"] == "yes" else "bright on dark"
    return f"crops of pictures with objects of {how['object_size']:g} pixels, {ground}, channel {how['channel']},"


def info_lines(told: dict[str, Any]) -> str:
    """What ``info`` tells of a data file or a run, a line a thing."""
    rows: list[tuple[str, str]] = []
    if told["kind"] == "data":
        rows += [
            ("data file", f"{told['path']}, {told['bytes'] / 1e6:.1f} MB, every checksum right"),
            ("made by", f"{told['generator']} {told['generator_version']}, schema {told['file_schema']}"),
            ("preset", f"{told['preset']}, seed {told['seed']}"),
            ("scenes", f"{_content(told)} on {told['canvas']}x{told['canvas']} pixels"),
            ("objects", f"{told['digits']}, sha256 {told['digits_sha256']}"),
            ("", f"sha256 of the file {told['sha256']}"),
        ]
        for split in ("train", "test"):
            rows += [(split if i == 0 else "", line) for i, line in enumerate(_split_lines(told[split]))]
    elif told["kind"] == "model":
        rows += [
            ("model", f"{told['path']}, {told['bytes'] / 1e6:.1f} MB, every byte checked"),
            ("", f"sha256 {told['weights_sha256']}"),
            ("made by", f"airctl {told['airctl']} from run {told['run']}, step {told['step']}"),
            ("preset", f"{told['preset']}, estimator {told['estimator']}, seed {told['seed']}"),
            ("changed", ", ".join(told["changed"]) or "nothing"),
            ("data", f"{told['data']['path']}, sha256 {told['data']['sha256'] or '-'}"),
        ]
    else:
        percent = {k: "-" if told[k] is None else f"{told[k]:.2%}" for k in ("validation_accuracy", "best_accuracy")}
        data, step = told["data"], "nothing yet" if told["step"] is None else f"step {told['step']} of {told['steps']}"
        rows += [
            ("run", f"{told['path']}, {told['bytes'] / 1e6:.1f} MB"),
            ("preset", f"{told['preset']}, estimator {told['estimator']}, seed {told['seed']}"),
            ("changed", ", ".join(told["changed"]) or "nothing"),
            ("trained", step + (", finished" if told["finished"] else "; resume it to go on")),
            ("validation", f"{percent['validation_accuracy']}, best {percent['best_accuracy']} at {told['best_step']}"),
            ("checkpoints", ", ".join(map(str, told["checkpoints"])) or "none"),
            ("data", f"{data['path']}{'' if told['data_exists'] else ' (gone)'}"),
            ("", f"sha256 {data['sha256'] or '-'}"),
            ("results", ", ".join(told["results"])),
        ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {text}" for name, text in rows)


def _split_lines(told: dict[str, Any] | int) -> list[str]:
    return statistics_lines(told) if isinstance(told, dict) else ["no scenes"]
