"""The variance report: a function of its seed, in bounded memory, that leaves the run alone and can be stopped."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import airctl
from airctl import cli
from airctl.laboratory.variance import (
    AT_ONCE,
    FAMILY,
    _enumerated_bias,
    _gradient,
    enumerable,
    measure_variance,
)
from airctl.objectives import ESTIMATORS, observe, terms_of
from airctl.results.as_json import to_json
from airctl.training.signals import StopRequest


def measured(*arguments: object, **options: object) -> dict:
    """The variance report as JSON has it."""
    return to_json(airctl.measure_variance(*arguments, **options))


def timeless(row: dict) -> dict:
    """What does not depend on how long it took."""
    timed = {"seconds_per_sample", "relative_cost", "efficiency"}
    groups = {name: {k: v for k, v in group.items() if k not in timed} for name, group in row["groups"].items()}
    return {k: v for k, v in row.items() if k not in timed} | {"groups": groups}


def test_the_variance_report_is_a_function_of_its_seed(finished: Path, tmp_path: Path) -> None:
    """Same seed, same table, but for the times; another seed, another table; exact against itself has no bias."""
    run = shutil.copytree(finished, tmp_path / "run")

    def figures(seed: int) -> dict[str, dict[str, float]]:
        rows = measured(run, samples=8, batch=4, fit_steps=3, seed=seed)["estimators"]
        return {name: timeless(row) for name, row in rows.items()}

    first = figures(0)
    assert first == figures(0)
    assert first != figures(1)
    assert (first["exact"]["bias"], first["exact"]["bias_p_value"], first["exact"]["cosine"]) == (
        0,
        1,
        pytest.approx(1, abs=1e-4),
    )


def test_the_variance_report_leaves_the_run_as_it_was(finished: Path, tmp_path: Path) -> None:
    """Measuring trains nothing that is kept: checkpoints have the bytes they had."""
    run = shutil.copytree(finished, tmp_path / "run")
    before = {path: path.read_bytes() for path in (run / "checkpoints").rglob("*") if path.is_file()}
    measured(run, samples=4, batch=4, fit_steps=2)
    assert before == {path: path.read_bytes() for path in (run / "checkpoints").rglob("*") if path.is_file()}


def test_a_row_does_not_depend_on_the_others(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every estimator there is, measured together and one of them alone, whose roll-outs nobody shares: the same."""
    run = shutil.copytree(finished, tmp_path / "run")
    result = measured(run, samples=6, batch=2, fit_steps=2, estimators=["all"])
    assert list(result["estimators"]) == list(ESTIMATORS)
    monkeypatch.setattr("airctl.laboratory.variance.FAMILY", 1)
    for name in ("rloo", "vimco", "concrete"):
        alone = measured(run, samples=6, batch=2, fit_steps=2, estimators=[name])
        assert timeless(alone["estimators"][name]) == timeless(result["estimators"][name])
    for row in result["estimators"].values():
        assert sum(group["total_variance"] for group in row["groups"].values()) == pytest.approx(
            row["total_variance"], rel=1e-3
        )
    assert result["estimators"]["backprop"]["relative_cost"] == 1
    assert result["estimators"]["backprop"]["groups"]["z_pres"]["total_variance"] == 0
    assert result["estimators"]["vimco"]["copies"] == 4
    assert sum(result["parameters"].values()) == sum(p.numel() for p in airctl.load(run).model.parameters())
    assert "rebar" in result["fitted"]
    assert not {"rloo", "vimco", "concrete", "measure-valued"} & set(result["fitted"])


def test_parameter_groups_are_the_modules(finished: Path) -> None:
    """theta is the decoder, z_pres its head, phi the rest; each parameter is in one of them."""
    model = airctl.load(finished).model
    groups = model.parameter_groups()
    assert {id(p) for p in groups["theta"]} == {id(p) for p in model.decoder.parameters()}
    assert {id(p) for p in groups["z_pres"]} == {id(p) for p in model.network.present.parameters()}
    assert sorted(id(p) for group in groups.values() for p in group) == sorted(id(p) for p in model.parameters())


def test_several_checkpoints_make_one_object_and_one_chart(finished: Path, tmp_path: Path) -> None:
    """Over training, the untrained model first; the table is that of the latest, and files say the same."""
    run = shutil.copytree(finished, tmp_path / "run")
    steps = sorted(int(path.name[5:]) for path in (run / "checkpoints").glob("step_*"))
    result = measured(
        run, samples=4, batch=2, fit_steps=1, estimators=["exact", "rloo"], checkpoints=["all"], table_1=True
    )
    assert [found["step"] for found in result["checkpoints"]] == steps
    assert steps[0] == 0
    assert result["step"] == steps[-1]
    assert result["estimators"] == result["checkpoints"][-1]["estimators"]
    kept = json.loads((run / "variance.json").read_text())
    assert kept.pop("sha256")
    assert kept == json.loads(json.dumps(result))
    assert "step 0" in (run / "variance.md").read_text()
    assert (run / "variance.md").read_text().startswith("Table 1 of Drelich (2019)")
    for name in ("variance", "variance_by_step"):
        assert (run / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    few = measured(run, samples=4, batch=2, estimators=["exact"], checkpoints=["last", "0", "0"])
    assert [found["step"] for found in few["checkpoints"]] == [0, steps[-1]]


def test_table_1_is_row_by_row_the_reports(finished: Path, tmp_path: Path) -> None:
    """Row 1 is of the decoder, the others of the inference network with the head of z_pres; ours are below."""
    run = shutil.copytree(finished, tmp_path / "run")
    result = measured(run, samples=8, batch=4, fit_steps=2, table_1=True)
    rows, of = result["table_1"], result["estimators"]
    assert [(row["row"], row["parameters"], row["estimator"], row["report"]) for row in rows] == [
        (1, "theta", "backprop", 5.83e-2),
        (2, "phi and z_pres", "score-function-likelihood", 2.03e4),
        (3, "phi and z_pres", "report-2019", 6.47e2),
        (4, "phi and z_pres", "score-function-neural", None),
        (5, "phi and z_pres", "exact", None),
    ]
    assert rows[0]["norm_variance"] == of["backprop"]["groups"]["theta"]["norm_variance"]
    assert rows[0]["z_pres_norm_variance"] is None
    for row in rows[1:]:
        assert row["norm_variance"] == of[row["estimator"]]["inference_norm_variance"]
        assert row["z_pres_norm_variance"] == of[row["estimator"]]["groups"]["z_pres"]["norm_variance"]
    for row in of.values():
        assert row["relative_bias_interval"] == pytest.approx(
            [end * row["relative_bias"] / max(row["bias"], 1e-30) for end in row["bias_interval"]]
        )
    assert "p(no bias)" not in (run / "variance.md").read_text()


def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What presses Ctrl-C and waits until it is heard. One estimator at a time, so that it is known what is done."""
    heard: list[StopRequest] = []
    monkeypatch.setattr("airctl.laboratory.variance.AT_ONCE", 1)
    monkeypatch.setattr("airctl.laboratory.variance.FAMILY", 1)
    monkeypatch.setattr("airctl.commands.variance.StopRequest", lambda: heard.append(StopRequest()) or heard[-1])

    def press() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        while heard[-1].signum is None:  # the main thread hears it, and this may be another
            time.sleep(0.001)

    return press


def test_ctrl_c_keeps_what_it_has(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal lets the sample end; the figures are those of a report of so many samples, but for the bias test."""
    run = shutil.copytree(finished, tmp_path / "run")
    press = ctrl_c(monkeypatch)

    def stop_at(sample: int) -> dict:
        def pressed(done: int, of: int) -> None:
            if done == sample:
                press()

        return measured(
            run,
            samples=50,
            batch=2,
            estimators=["exact", "score-function"],
            checkpoints=["0", "last"],
            on_sample=pressed,
        )

    stopped = stop_at(50 + 5)
    assert (stopped["samples"], stopped["samples_asked"], stopped["stopped_by"]) == (5, 50, signal.SIGINT)
    assert len(stopped["checkpoints"]) == 1
    row = stopped["estimators"]["score-function"]
    assert row["bias_p_value"] is None
    assert "5 gradient samples of 50 asked for (exact 50)" in (run / "variance.md").read_text()
    whole = measured(run, samples=5, batch=2, estimators=["score-function"], checkpoint="0")
    assert whole["estimators"]["score-function"]["total_variance"] == row["total_variance"]
    with pytest.raises(KeyboardInterrupt):
        stop_at(1)


def vectors_held(finished: Path, names: list[str], samples: int, at_once: int = AT_ONCE) -> list[int]:
    """How many tensors of the size of the whole gradient are alive after each sample."""
    loaded = airctl.load(finished)
    size, held = sum(p.numel() for p in loaded.model.parameters()), []

    def look(done: int, of: int) -> None:
        gc.collect()
        held.append(sum(o.numel() == size for o in gc.get_objects() if type(o) is torch.Tensor))

    estimators = {name: ESTIMATORS[name](loaded.config) for name in names}
    make = lambda purpose, step: torch.Generator().manual_seed(step)  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airctl.laboratory.variance.AT_ONCE", at_once)
        measure_variance(loaded.model, estimators, torch.rand(2, 50, 50), loaded.log_p(), samples, make, look)
    return held


def test_memory_does_not_grow_with_the_samples(finished: Path) -> None:
    """What is kept of an estimator is its mean, its squares and the difference, whatever the number of samples."""
    held = vectors_held(finished, ["vimco"], 8, at_once=1)
    assert held[4] == held[7]


def test_memory_does_not_grow_with_the_estimators(finished: Path) -> None:
    """Many hold no more than one and what two families keep, four vectors an estimator, however many samples."""
    most = max(vectors_held(finished, ["vimco"], 8, at_once=1)) + AT_ONCE * FAMILY * 4
    for samples in (4, 8):
        assert max(vectors_held(finished, list(ESTIMATORS), samples)) <= most
    every = len(ESTIMATORS)
    assert max(vectors_held(finished, list(ESTIMATORS), 4, at_once=every)) > most, "all at once would be seen"


# Their means have no closed form.
SAMPLED = {
    *("vimco", "arm", "disarm", "muprop", "straight-through"),
    *("concrete", "rebar", "relax", "reweighted-wake-sleep"),
    *("gumbel-rao", "sticking-the-landing", "marginal-path", "dreg"),
}
BIASED = {"defensive", "backprop", "nvil", "report-2019", "marginal", "score-function-likelihood"}


def test_all_others_can_be_enumerated(finished: Path) -> None:
    """Their bias is that of the enumerated mean, which the next test looks at."""
    config = airctl.load(finished).config
    assert {name for name, make in ESTIMATORS.items() if not enumerable(make(config))} == SAMPLED


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name not in SAMPLED])
def test_the_bias_is_that_of_the_enumerated_mean(finished: Path, name: str) -> None:
    """Taken in the terms and sent back, it is the difference of two whole gradients; nothing where there is none."""
    loaded = airctl.load(finished)
    chosen = ESTIMATORS[name](loaded.config)
    for parameter in chosen.modules.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    chosen.modules.eval()
    if name == "nvil":
        chosen.modules["moments"].variance.fill_(4)
    objects = observe(loaded.model, torch.rand(3, 50, 50), chosen, torch.Generator().manual_seed(2))
    terms = terms_of(objects, loaded.log_p(), loaded.model.likelihood)
    parameters = list(loaded.model.parameters())
    found = _enumerated_bias(chosen, objects, terms, parameters)
    exact = _gradient(-terms.elbo.mean(), parameters)
    whole = _gradient(chosen.expected(objects, terms).loss, parameters) - exact
    assert (found is None) == (name not in BIASED)
    rounding = 1e-4 * float(exact.norm())
    assert float((whole - (0 if found is None else found)).norm()) < rounding
    assert found is None or float(found.norm()) > 10 * rounding


def test_what_was_not_reached_is_named(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact comes first, then what needs its gradient; stopped in the fourth, the fifth is left out and named."""
    run = shutil.copytree(finished, tmp_path / "run")
    press = ctrl_c(monkeypatch)

    def pressed(done: int, of: int) -> None:
        assert of == 5 * 6
        if done == 3 * 6 + 3:
            press()

    names = ["rloo", "exact", "score-function", "measure-valued", "rebar"]
    result = measured(run, samples=6, batch=2, fit_steps=1, estimators=names, on_sample=pressed)
    found = {name: row["samples"] for name, row in result["estimators"].items()}
    assert found == {"rloo": 6, "exact": 6, "score-function": 3, "rebar": 6}
    assert (result["samples"], result["left_out"]) == (3, ["measure-valued"])
    assert (
        "3 gradient samples of 6 asked for (rloo 6, exact 6, rebar 6), none of measure-valued"
        in (run / "variance.md").read_text()
    )


def test_the_command_measures_several_checkpoints(finished: Path, tmp_path: Path) -> None:
    """--estimators, --checkpoints and --table-1 from the command line, as one JSON object."""

    run = shutil.copytree(finished, tmp_path / "run")
    words = "--samples 4 --batch 2 --fit-steps 1 --estimators exact,rloo --checkpoints 0,last --table-1 --json"
    ended = CliRunner().invoke(cli.airctl, ["variance-report", str(run), *words.split()], catch_exceptions=False)
    result = json.loads(ended.stdout)
    assert ended.exit_code == 0
    assert list(result["estimators"]) == ["exact", "rloo"]
    assert [found["step"] for found in result["checkpoints"]] == [0, result["step"]]
    assert [row["report"] for row in result["table_1"]] == [5.83e-2, 2.03e4, 6.47e2, None, None]
    assert [row["norm_variance"] is None for row in result["table_1"]] == [True, True, True, True, False]
    assert result["estimators"]["rloo"]["relative_cost"] is None, "without backprop there is no unit of cost"


def test_the_command_stopped_by_ctrl_c_says_so(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 130 after the table of what was measured."""
    run = shutil.copytree(finished, tmp_path / "run")
    measure = airctl.measure_variance

    def stopped(*arguments: object, **options: object) -> airctl.VarianceReport:
        return replace(measure(*arguments, **options), stopped_by=int(signal.SIGINT))

    monkeypatch.setattr("airctl.commands.variance.measure_variance", stopped)
    words = "--samples 4 --batch 2 --estimators exact"
    ended = CliRunner().invoke(cli.airctl, ["variance-report", str(run), *words.split()], catch_exceptions=False)
    assert ended.exit_code == 130
    assert "variance of norm" in ended.stdout
