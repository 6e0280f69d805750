"""Walk the chain from data to checkpoint to export to result, and compute every digest again: ``airctl verify``.

Each file names the sha256 of what it was made of: a checkpoint that of scenes and config, an exported model and a
result that of weights and scenes, a page that of its result. Everything looked at is a stranger's: no link is followed,
no model is made, and no more is read than a file has.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airctl import scenes
from airctl.commands.chain import MOST, Actual, Chain, text
from airctl.commands.found_files import ORIGIN, PAGE, TABLES
from airctl.errors import ConfigError, InputFileError
from airctl.files import is_regular, read_small, sha256_of_stranger
from airctl.results.as_json import SEAL, loads, read_object, seal_of
from airctl.results.verified import DIFFERS, MATCHES, Link, Verified
from airctl.training import RunFolder, exported, onnx_files, signed
from airctl.training import checkpoint as checkpoints

_MOST_PAGE = 1 << 26  # bytes
_MOST_RESULTS = 1000  # of a run


def verify(
    sources: Path | str | Sequence[Path | str], *, data: Path | str | None = None, key: Path | str | None = None
) -> Verified:
    """Compute the digests of runs, exported models, folders of counts and scene files, and compare what they name.

    ``data`` is the scene file, where it is not in the place that a run or model names. What one source was made of is
    looked for in the others too. With a public ``key`` each exported model must have its signature beside it.

    Raises ``ConfigError`` for what is none of these, and ``InputFileError`` for a named file that cannot be read; what
    does not match is in the result.
    """
    named = [Path(sources)] if isinstance(sources, Path | str) else [Path(source) for source in sources]
    chain = Chain(Path(data) if data is not None else None)
    if data is not None:
        chain.known[sha256_of_stranger(Path(data).resolve(), MOST)] = str(data)
    walk = _Walk(chain)
    for source in named:
        walk.source(source)
        if key is not None:
            walk.signatures(source, Path(key))
    return Verified(sources=list(map(str, named)), links=[*chain.links, *chain.answered()])


@dataclass(frozen=True)
class _Walk:
    chain: Chain

    def source(self, path: Path) -> None:
        """Compute what ``path`` holds, and note what it claims."""
        if path.is_dir() and (path / "config.toml").exists():
            self._run(RunFolder(path).require())
        elif path.is_dir() and (path / ORIGIN).exists():
            self._counts(path)
        elif path.suffix == exported.SUFFIX:
            self._model(path)
        elif path.suffix == onnx_files.SUFFIX:
            for one in [path] if is_regular(path) else onnx_files.paths(path).values():
                self._graph(one)
        elif is_regular(path):
            self._scenes(path)
        else:
            raise ConfigError(
                f"{path}: expected a run folder, an exported model, a folder that infer or count has filled, or scenes"
            )

    def signatures(self, path: Path, key: Path) -> None:
        """A link for the signature of each file of an exported model."""
        for one in signed.files_of(path):
            try:
                signed.check(one, key)
            except InputFileError as error:
                self.chain.links.append(Link(what=f"signature of {one}", status=DIFFERS, reason=str(error)))
            else:
                self.chain.links.append(Link(what=f"signature of {one}", status=MATCHES, reason=f"by {key}"))

    # --- what there is -----------------------------------------------------------------------------------------------

    def _run(self, folder: RunFolder) -> None:
        told, run = folder.data(), folder.path
        own = text(told.get("sha256"))
        self.chain.claim(f"{run / 'data.json'}: scenes", own, self.chain.scenes_at(told["path"]))
        config = self.chain.computed(run / "config.toml")
        weights = dict[int, str | None]()
        configs, data = dict[str | None, list[int]](), dict[str | None, list[int]]()
        for step in checkpoints.steps(folder.checkpoints):
            path = checkpoints.path_of(folder.checkpoints, step)
            weights[step] = self._checkpoint(path)
            state = _state(path)
            configs.setdefault(text(state.get("config_sha256")), []).append(step)
            data.setdefault(text(state.get("data_sha256")), []).append(step)
        for kind, named, found in (("config.toml", configs, config), ("scenes", data, own)):
            for expected, steps in named.items():
                what = f"{folder.checkpoints}, {_listed(steps)}: {kind}"
                self.chain.compared(what, expected, found, f"not what the run's {kind} is now")
        results = itertools.chain(*(run.glob(f"{name}*.json") for name in ("eval", "gallery", "variance")))
        for path in sorted(itertools.islice(results, _MOST_RESULTS)):
            self._result(path, weights, own)
        if (run / "report.html").exists():
            self._page(run / "report.html", run / "eval-test.json")

    def _checkpoint(self, path: Path) -> str | None:
        """The sha256 of its weights as they are; the link is whole if all its files are what its manifest says."""
        try:
            found = [sha256_of_stranger(path / name, MOST) for name in checkpoints.FILES]
            checkpoints.verify(path)
        except InputFileError as error:
            self.chain.links.append(Link(what=str(path), status=DIFFERS, reason=str(error)))
            return None
        for name, sha256 in zip(checkpoints.FILES, found, strict=True):
            self.chain.known[sha256] = str(path / name)
        self._matches(path, found[0], "its manifest")
        return found[0]

    def _result(self, path: Path, weights: Mapping[int, str | None], own: str | None) -> None:
        told = self.chain.sealed(path)
        for step, named in _weights_named(told):
            what = f"{path}: weights of step {step}"
            if step in weights:
                self.chain.compared(what, named, weights[step], "not the weights of that checkpoint")
            else:
                self.chain.claim(what, named, _gone(step))
        if "data_sha256" in told:
            what, named = f"{path}: scenes", text(told["data_sha256"])
            if named != own and isinstance(told.get("data"), str):  # of an evaluation on other scenes
                self.chain.claim(what, named, self.chain.scenes_at(told["data"]))
            else:
                self.chain.compared(what, named, own, "not the scenes of the run")

    def _page(self, path: Path, result: Path) -> None:
        page = read_small(path, _MOST_PAGE).decode("utf-8", "replace")
        named = re.findall(r'<meta name="airctl:origin" content="([^"]{0,1000})">', page)
        if not named:
            self.chain.claim(f"{path}: result", None, _nowhere)
        for content in named[:_MOST_RESULTS]:
            try:
                told = loads(html.unescape(content))
            except ValueError:
                told = {}
            expected = text(told.get("result_sha256")) if isinstance(told, dict) else None
            known = expected is not None and expected in self.chain.known  # it may be of an evaluation on other scenes
            self.chain.claim(f"{path}: result", expected, _nowhere if known else lambda: _seal_at(result))

    def _model(self, path: Path) -> None:
        header = exported.read_header(path)
        try:
            exported.check(path, header)
        except InputFileError as error:
            self.chain.links.append(Link(what=str(path), status=DIFFERS, expected=header.sha256, reason=str(error)))
        else:
            self.chain.known[header.sha256] = str(path)
            self._matches(path, header.sha256, "its header")
        self.chain.claim(f"{path}: checkpoint", header.checkpoint_sha256, _nowhere)
        self.chain.claim(
            f"{path}: scenes", header.data.sha256, self.chain.scenes_at(str(path.parent / header.data.path))
        )

    def _graph(self, path: Path) -> None:
        told, found = onnx_files.read_origin(path)
        self.chain.compared(path, text(told.get(SEAL)), found)
        self.chain.claim(f"{path}: checkpoint", told["weights_sha256"], _nowhere)
        self.chain.claim(f"{path}: scenes", text(told.get("data_sha256")), self.chain.scenes_at(None))

    def _counts(self, folder: Path) -> None:
        if (folder / "run" / "config.toml").exists():  # as airctl count leaves it
            self._run(RunFolder(folder / "run").require())
        told = self.chain.sealed(folder / ORIGIN)
        files = told.get("files")
        for name in (*TABLES, PAGE):
            if isinstance(files, dict) and name in files:
                self.chain.compared(folder / name, text(files[name]), self.chain.computed(folder / name))
        self.chain.claim(f"{folder / ORIGIN}: weights", text(told.get("weights_sha256")), _nowhere)
        self.chain.claim(f"{folder / ORIGIN}: scenes", text(told.get("data_sha256")), self.chain.scenes_at(None))

    def _scenes(self, path: Path) -> None:
        for split in ("train", "test"):
            scenes.read_split(path, split)
        found = sha256_of_stranger(path.resolve(), MOST)
        self.chain.known[found] = str(path)
        self._matches(path, found, "the sha256 of its splits")

    def _matches(self, path: Path, sha256: str, what: str) -> None:
        self.chain.links.append(Link(what=str(path), status=MATCHES, expected=sha256, found=sha256, reason=what))


def _weights_named(told: Mapping[str, Any]) -> Iterator[tuple[int, str | None]]:
    """(step, sha256 of its weights) of each checkpoint that a result names."""
    each = told.get("checkpoints")
    for one in each if isinstance(each, list) else [told]:
        if isinstance(one, dict) and type(one.get("step")) is int and "weights_sha256" in one:
            yield one["step"], text(one["weights_sha256"])


def _seal_at(path: Path) -> tuple[str | None, str]:
    try:
        return seal_of(read_object(path)), str(path)
    except InputFileError as error:
        return None, str(error)


def _state(checkpoint: Path) -> dict[str, Any]:
    try:
        return read_object(checkpoint / "state.json")
    except InputFileError:
        return {}


def _gone(step: int) -> Actual:
    return lambda: (None, f"the run has no checkpoint of step {step} any more")


def _nowhere() -> tuple[str | None, str]:
    return None, "it is in none of the files looked at: name the run or model too"


def _listed(steps: Sequence[int]) -> str:
    return f"steps {', '.join(map(str, steps))}" if len(steps) > 1 else f"step {steps[0]}"
