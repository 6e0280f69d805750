"""Whatever bytes or words a parser is given: it accepts them or gives one of airctl's own errors, soon and in bounds.

Half of the inputs are made by hypothesis along the format's own grammar, the rest are valid files mutated at random.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import random
import resource
import shutil
import struct
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from reliability.conftest import Tally, small
from reliability.faults import bound_memory, in_fork
from safetensors import safe_open

import airctl
from airctl import cli, config, scenes
from airctl.commands import (
    count,
    evaluate,
    export,
    generate,
    generate_cells,
    import_pictures,
    infer,
    preview,
    sweep,
    train,
    variance,
    verify,
)  # fmt: skip
from airctl.commands.loaded import load
from airctl.commands.train import fit_to_data
from airctl.errors import AirctlError
from airctl.scenes import read_attributes, read_idx, read_scenes, read_split
from airctl.scenes.cells import cells
from airctl.training import Learner, checkpoint, exported, session

ALL = 10_000
KEYS = [
    f"{section.name}.{field.name}"
    for section in dataclasses.fields(config.Config)
    if section.name != "preset"
    for field in dataclasses.fields(getattr(config.Config(), section.name))
]


class Parser(ABC):
    """A reader of files or words, how to make inputs for it, and valid ones to mutate."""

    def __init__(self, folder: Path, material: dict[str, Any]) -> None:
        self.folder, self.material = folder, material
        self.start()

    def start(self) -> None:  # noqa: B027 - not all need it
        """Make what ``read`` needs."""

    @abstractmethod
    def strategy(self) -> st.SearchStrategy[Any]:
        """Inputs along the grammar."""

    @abstractmethod
    def mutated(self, draw: random.Random) -> Any:
        """A valid input that has suffered."""

    @abstractmethod
    def read(self, value: Any) -> None:
        """Parse it."""


def mutate(content: bytes, draw: random.Random) -> bytes:
    """Some bits flipped, bytes overwritten, pieces cut out, doubled, moved or put in; or the end cut off."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        at, length = draw.randrange(len(changed) + 1), draw.choice((1, 1, 2, 4, 8, 64))
        kind = draw.randrange(7)
        if kind == 0 and changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        elif kind == 1:
            changed[at : at + length] = draw.randbytes(length)
        elif kind == 2:
            changed[at : at + length] = draw.choice((b"\0", b"\xff", b"\x7f", b"9")) * length
        elif kind == 3:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = changed[draw.randrange(len(changed) + 1) :][:length]
        elif kind == 5:
            changed[at:at] = draw.randbytes(length)
        elif len(changed) > 1:
            del changed[draw.randrange(1, len(changed)) :]
    return bytes(changed)


SIZES = st.sampled_from([0, 1, 2, 3, 4, 28, 255, 256, 2**15, 2**16, 2**20, 2**31 - 1, 2**31, 2**32 - 1])


class Idx(Parser):
    """MNIST's format."""

    valid = struct.pack(">BBBB3I", 0, 0, 8, 3, 5, 4, 3) + bytes(range(60))

    def strategy(self) -> st.SearchStrategy[bytes]:
        """A header of any type and sizes, and a body that may fit it."""
        kinds = st.sampled_from([0, 7, 8, 8, 8, 8, 9, 13, 255])

        def made(kind: int, sizes: list[int], body: bytes, fits: bool) -> bytes:
            header = struct.pack(f">BBBB{len(sizes)}I", 0, 0, kind, len(sizes), *sizes)
            wanted = int(np.prod(sizes, dtype=object))
            return header + (bytes(wanted) if fits and wanted < 10_000 else body)

        return st.builds(made, kinds, st.lists(SIZES, max_size=6), st.binary(max_size=80), st.booleans())

    def mutated(self, draw: random.Random) -> bytes:
        return mutate(self.valid, draw)

    def read(self, value: bytes) -> None:
        path = self.folder / "digits"
        path.write_bytes(value)
        assert read_idx(path, ndim=3 if len(value) % 2 else None).dtype == np.uint8


class GzippedIdx(Idx):
    """The same, packed; the packing suffers too."""

    def strategy(self) -> st.SearchStrategy[bytes]:
        tails = st.one_of(st.just(b""), st.binary(max_size=20), st.just(gzip.compress(bytes(10**6), mtime=0)))
        return st.builds(lambda content, tail: gzip.compress(content, mtime=0) + tail, super().strategy(), tails)

    def mutated(self, draw: random.Random) -> bytes:
        packed = gzip.compress(mutate(self.valid, draw) if draw.random() < 0.5 else self.valid, mtime=0)
        return packed if draw.random() < 0.2 else mutate(packed, draw)  # its checksum refuses nearly all of the latter


ATTRIBUTES = (
    "schema", "generator", "preset", "seed", "train", "test", "max_digits", "canvas", "scale_mean", "digits",
    "picture_object_size", "picture_channel",
)  # fmt: skip
DATASETS = tuple(field.name for field in dataclasses.fields(scenes.SceneSplit))
PLAIN = st.one_of(
    st.integers(-(2**63), 2**63 - 1), SIZES, st.floats(), st.text(max_size=8), st.binary(max_size=8),
    st.lists(st.integers(0, 9), max_size=3), st.booleans(),
)  # fmt: skip


class Hdf5(Parser):
    """A scene file: attributes and datasets exchanged for others by the HDF5 library, or bytes changed below it."""

    which = "scenes"

    def start(self) -> None:
        self.path = self.folder / "scenes.h5"

    def strategy(self) -> st.SearchStrategy[Any]:
        """Up to three changes."""
        change = st.one_of(
            st.tuples(st.just("attribute"), st.sampled_from(ATTRIBUTES), PLAIN),
            st.tuples(st.just("sha256"), st.sampled_from(["train", "test"]), PLAIN),
            st.tuples(
                st.just("dataset"),
                st.sampled_from(DATASETS),
                st.fixed_dictionaries(
                    {
                        "shape": st.lists(st.sampled_from([0, 1, 2, 4, 16, 60, 10**6, 10**12]), max_size=4).map(tuple),
                        "dtype": st.sampled_from(["u1", "i2", "f4", "i4", "f8", "S4", "O", "u1,f4", "(2,)u1"]),
                        "chunks": st.sampled_from([True, None, (1,), (60, 16, 16), (60, 2)]),
                    },
                    optional={
                        "compression": st.sampled_from(["gzip", "lzf"]),
                        "fletcher32": st.booleans(),
                        "scaleoffset": st.integers(0, 3),
                        "maxshape": st.just((None,)),
                        "external": st.just([("/etc/hostname", 0, 100)]),
                    },
                ),
            ),
            st.tuples(st.just("values"), st.sampled_from(DATASETS), st.integers(0, 255)),
            st.tuples(st.just("link"), st.sampled_from(DATASETS), st.sampled_from(["/test/images", "/", "x", "."])),
            st.tuples(st.just("gone"), st.sampled_from(DATASETS), st.none()),
        )
        return st.lists(change, max_size=3)

    def mutated(self, draw: random.Random) -> bytes:
        return mutate(self.material[self.which], draw)

    def read(self, value: Any) -> None:
        self.path.write_bytes(value if isinstance(value, bytes) else self.material[self.which])
        if not isinstance(value, bytes):
            # The library itself refuses to make some of these; the others are what is read.
            with contextlib.suppress(Exception), h5py.File(self.path, "r+") as file:
                for change in value:
                    with contextlib.suppress(Exception):
                        self.change(file, *change)
        read_attributes(self.path)
        for split in ("train", "test"):
            read_split(self.path, split)

    @staticmethod
    def change(file: h5py.File, kind: str, name: str, value: Any) -> None:
        group = file["train"]
        if kind == "attribute":
            file.attrs[name] = value
        elif kind == "sha256":
            file[name].attrs["sha256"] = value
        elif kind == "values":
            group[name][...] = value
        else:
            del group[name]
            if kind == "dataset":
                group.create_dataset(name, **value)
            elif kind == "link":
                group[name] = h5py.SoftLink(value)


JSONS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


class Checkpoint(Parser):
    """A manifest, and tensors and state that it vouches for whatever they are."""

    def start(self) -> None:
        self.path = self.folder / "step_00000002"
        shutil.copytree(self.material["checkpoint"], self.path)
        self.files = {path.name: path.read_bytes() for path in self.path.iterdir()}
        learner = Learner.build(fit_to_data(small(), (1, 16, 16)), torch.device("cpu"))
        self.modules, self.optimizer = learner.modules, learner.optimizers

    def strategy(self) -> st.SearchStrategy[dict[str, bytes]]:
        """Another state, another header of tensors, another manifest."""
        size = struct.unpack("<Q", self.files["model.safetensors"][:8])[0]
        header = json.loads(self.files["model.safetensors"][8 : 8 + size])
        body = self.files["model.safetensors"][8 + size :]
        state = json.loads(self.files["state.json"])

        def tensors(name: str, entry: Any, length: int | None) -> dict[str, bytes]:
            words = json.dumps(header | {name: entry}).encode()
            return {"model.safetensors": struct.pack("<Q", len(words) if length is None else length) + words + body}

        entries = st.fixed_dictionaries(
            {},
            optional={
                "dtype": st.sampled_from(["F32", "F64", "U8", "BOOL", "F8_E4M3", "F4", "C64", "BF16", "X", ""]),
                "shape": st.lists(SIZES, max_size=4),
                "data_offsets": st.lists(st.one_of(SIZES, st.just(2**63)), max_size=3),
            },
        )
        names = st.sampled_from([*header, "more", "__metadata__"])
        values = st.one_of(JSONS, SIZES, st.just(-1), st.just(1e400), st.just("9" * 5000))
        entry = st.one_of(JSONS, st.fixed_dictionaries({"bytes": JSONS, "sha256": JSONS}))
        listed = st.builds(
            lambda name, value: {"files": {other: {} for other in checkpoint.FILES} | {name: value}},
            st.sampled_from(checkpoint.FILES),
            entry,
        )
        states = st.one_of(st.builds(lambda key, value: state | {key: value}, st.sampled_from([*state]), values), JSONS)
        return st.one_of(
            st.builds(tensors, names, st.one_of(entries, JSONS), st.one_of(st.none(), st.none(), SIZES)),
            states.map(lambda value: {"state.json": json.dumps(value).encode()}),
            st.one_of(listed, JSONS).map(lambda value: {"manifest.json": json.dumps(value).encode()}),
        )

    def mutated(self, draw: random.Random) -> dict[str, bytes]:
        name = draw.choice([*checkpoint.FILES, "manifest.json"])
        head = draw.choice((64, 1000, 10**9))  # of tensors most bytes are numbers; what is parsed is at the beginning
        return {name: mutate(self.files[name][:head], draw) + self.files[name][head:]}

    def read(self, value: dict[str, bytes]) -> None:
        files = self.files | value
        if "manifest.json" not in value:
            told = {
                n: {"bytes": len(files[n]), "sha256": hashlib.sha256(files[n]).hexdigest()} for n in checkpoint.FILES
            }
            files["manifest.json"] = json.dumps({"files": told}).encode()
        for name in {*value, "manifest.json"}:
            (self.path / name).write_bytes(files[name])
        try:
            session._state_from(checkpoint.load(self.path, self.modules, self.optimizer), self.path)
        finally:
            for name in value:
                (self.path / name).write_bytes(self.files[name])


WORDS = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["[", "[1,2,3]", "{", '"', "'''", "1979-05-27", "0x1f", "1e400", "9" * 5000, "[" * 2000, "true", ""]
    ),
)
SETTINGS = st.builds(
    "{}{}{}".format, st.one_of(st.sampled_from(KEYS), st.text(max_size=9)), st.sampled_from("==:"), WORDS
)


class Configs(Parser):
    """A TOML file, or the words after ``--set``."""

    def strategy(self) -> st.SearchStrategy[Any]:
        sections = [key.partition(".")[0] for key in KEYS]
        names = [key.partition(".")[2] for key in KEYS]
        line = st.builds("{} = {}".format, st.one_of(st.sampled_from(names), st.text(max_size=9)), WORDS)
        header = st.builds("[{}]".format, st.one_of(st.sampled_from(sections), st.text(max_size=9)))
        file = st.lists(st.one_of(line, header), max_size=6).map("\n".join)
        return st.one_of(file, st.lists(SETTINGS, min_size=1, max_size=3))

    def mutated(self, draw: random.Random) -> Any:
        valid = config.dumps(config.preset(draw.choice([*config.PRESETS])))
        if draw.random() < 0.5:
            return mutate(valid.encode(), draw)
        setting = draw.choice([line for line in valid.splitlines() if "=" in line]).replace(" = ", "=")
        return [mutate(f"{draw.choice(KEYS)}={setting}".encode(), draw).decode("utf-8", "surrogateescape")]

    def read(self, value: Any) -> None:
        if isinstance(value, list):
            config.dumps(config.override(config.Config(), value))
            return
        path = self.folder / "config.toml"
        path.write_bytes(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)
        config.load(path)


UNDERSTOOD = "all words were understood"


class CommandLine(Parser):
    """The words of a shell; what the commands would do is left out."""

    def start(self) -> None:
        self.options: dict[str, list[str]] = {}
        for name, command in cli.airctl.commands.items():
            self.options[name] = [
                word for parameter in command.params for word in parameter.opts if word.startswith("-")
            ]
        for module, names in (
            (generate, ("generate",)),
            (generate_cells, ("generate_cells",)),
            (export, ("export",)),
            (evaluate, ("evaluate",)),
            (variance, ("measure_variance",)),
            (preview, ("draw_data", "draw_run")),
            (train, ("train",)),
            (sweep, ("sweep",)),
            (infer, ("infer",)),
            (count, ("count",)),
            (import_pictures, ("import_pictures",)),
        ):
            for name in names:
                setattr(module, name, self.nothing)

    @staticmethod
    def nothing(*arguments: Any, **options: Any) -> None:
        """Would be the work."""
        raise AirctlError(UNDERSTOOD)

    def strategy(self) -> st.SearchStrategy[list[str]]:
        values = st.one_of(
            SETTINGS,
            WORDS,
            st.sampled_from(["0..9", "1,2", "9" * 30, "-1", "nan", "exact", "all", str(self.folder), "/"]),
        )

        def arguments(command: str) -> st.SearchStrategy[list[str]]:
            option = st.sampled_from(self.options.get(command) or ["--json"])
            pair = st.tuples(option, values).map(list)
            more = st.lists(st.one_of(pair, pair, values.map(lambda v: [v]), option.map(lambda o: [o])), max_size=5)
            return more.map(lambda parts: [command, *(word for part in parts for word in part)])

        return st.one_of(st.sampled_from([*self.options, *cli.airctl.aliases]), st.text(max_size=9)).flatmap(arguments)

    def mutated(self, draw: random.Random) -> list[str]:
        command = draw.choice([*self.options])
        words = [str(self.folder / "scenes.h5")]
        for option in draw.sample(self.options[command], draw.randrange(min(5, len(self.options[command])) + 1)):
            words += [
                option,
                draw.choice(["1", "0.5", "fast", "network.hidden=5", "last", "font", "1,2", str(self.folder)]),
            ]
        words = [command, *words]
        at = draw.randrange(len(words))
        words[at] = mutate(words[at].encode(), draw).decode("utf-8", "surrogateescape").replace("\0", "")
        return words

    def read(self, value: list[str]) -> None:
        """As ``main`` does it, which has to turn every error into an exit code."""
        sys.argv = ["airctl", *(word.replace("\0", "") for word in value)]  # no system passes on a zero byte
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
            try:
                cli.main()
            except SystemExit as ended:
                code = ended.code
        assert code in (0, 1, 2, 3), told.getvalue()
        assert "Traceback" not in told.getvalue()
        if code and UNDERSTOOD not in told.getvalue():
            raise AirctlError(f"exit code {code}")


class Pictures(Parser):
    """Picture files and stacks for ``infer``."""

    formats = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")

    def start(self) -> None:
        picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 7, 3), np.uint8))
        self.valid: list[tuple[str, bytes]] = []
        for name in self.formats:
            stream = io.BytesIO()
            picture.save(stream, format=name)
            self.valid.append((f".{name.lower()}", stream.getvalue()))
        pages = io.BytesIO()
        picture.save(pages, format="TIFF", save_all=True, append_images=[picture.convert("L"), picture.convert("I;16")])
        self.valid.append((".tif", pages.getvalue()))
        stack, packed = io.BytesIO(), io.BytesIO()
        np.save(stack, np.zeros((2, 5, 5), np.uint8))
        np.savez_compressed(packed, images=np.zeros((2, 5, 5), np.uint8))
        self.valid += [(".npy", stack.getvalue()), (".npz", packed.getvalue()), (".h5", self.material["scenes"])]

    def strategy(self) -> st.SearchStrategy[tuple[str, bytes]]:
        """The beginning of a valid one and any bytes."""
        return st.builds(
            lambda whole, length, rest: (whole[0], whole[1][:length] + rest),
            st.sampled_from(self.valid), st.integers(0, 64), st.binary(max_size=100),
        )  # fmt: skip

    def mutated(self, draw: random.Random) -> tuple[str, bytes]:
        suffix, content = draw.choice(self.valid)
        return suffix, mutate(content, draw)

    def read(self, value: tuple[str, bytes]) -> None:
        path = self.folder / f"picture{value[0]}"
        path.write_bytes(value[1])
        for picture in read_scenes([path]):
            assert picture.pixels.dtype == np.uint8


def fuzz(make: Callable[[], Parser], number: int) -> dict[str, float]:
    """``number`` inputs: how many were accepted, the slowest one, and the memory that all of them took."""
    parser = make()
    found = {"tried": 0, "accepted": 0, "slowest_seconds": 0.0}
    bound_memory()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def one(value: Any) -> None:
        if found["tried"] == number:
            return
        started = time.process_time()
        try:
            parser.read(value)
            found["accepted"] += 1
        except AirctlError:
            pass
        except BaseException:
            sys.stderr.write(f"the input: {value!r}"[:5000] + "\n")
            raise
        found["tried"] += 1
        found["slowest_seconds"] = max(found["slowest_seconds"], time.process_time() - started)

    drawn = settings(
        max_examples=number // 2, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )(given(parser.strategy())(one))
    drawn()
    draw = random.Random(0)
    while found["tried"] < number:
        one(parser.mutated(draw))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return found | {"peak_megabytes": grown / 1024}


class Imported(Hdf5):
    """Scenes cut out of pictures: no counts, labels and boxes, but how the pictures were developed."""

    which = "imported"

    def read(self, value: Any) -> None:
        """As training does, which looks at the size of objects and at how pictures become scenes."""
        super().read(value)
        told = read_attributes(self.path)
        scenes.picture_of(told)
        split = read_split(self.path, "train")
        scenes.object_size(told, split.boxes, split.images.shape[-1])


class Exported(Parser):
    """A .airctl file, and whatever its header says of it."""

    def start(self) -> None:
        self.path = self.folder / "m.airctl"
        self.whole = self.material["exported"]
        size = struct.unpack("<Q", self.whole[:8])[0]
        self.header, self.body = json.loads(self.whole[8 : 8 + size]), self.whole[8 + size :]
        self.told = json.loads(self.header["__metadata__"]["airctl"])

    def strategy(self) -> st.SearchStrategy[bytes]:
        """Another description with the sha256 that is right for it, other text in its place, or other tensors."""

        def described(key: str, value: Any) -> bytes:
            return self.file(self.header | {"__metadata__": {"airctl": json.dumps(self.told | {key: value})}})

        def resealed(key: str, text: str) -> bytes:
            toml = self.told["config"].replace(f"{key.partition('.')[2]} = ", f"{key.partition('.')[2]} = {text}#", 1)
            self.path.write_bytes(described("config", toml))
            with contextlib.suppress(AirctlError):
                header = exported.read_header(self.path)
                with safe_open(self.path, framework="pt") as file:
                    weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                told = self.told | {"config": toml, "sha256": exported._digest(header, weights)}
                return self.file(self.header | {"__metadata__": {"airctl": json.dumps(told)}})
            return self.path.read_bytes()

        text = st.one_of(JSONS.map(json.dumps), st.text(max_size=20), st.just("[" * 5000))
        return st.one_of(
            st.builds(described, st.sampled_from([*self.told]), st.one_of(JSONS, WORDS)),
            st.builds(resealed, st.sampled_from(KEYS), WORDS),
            text.map(lambda words: self.file(self.header | {"__metadata__": {"airctl": words}})),
            st.builds(
                lambda name, entry: self.file(self.header | {name: entry}), st.sampled_from([*self.header]), JSONS
            ),
        )

    def file(self, header: Any) -> bytes:
        words = json.dumps(header).encode()
        return struct.pack("<Q", len(words)) + words + self.body

    def mutated(self, draw: random.Random) -> bytes:
        head = draw.choice((64, 2000, 10**9))
        return self.whole if draw.random() < 0.02 else mutate(self.whole[:head], draw) + self.whole[head:]

    def read(self, value: bytes) -> None:
        self.path.write_bytes(value)
        for link in verify.verify(self.path).links:
            link.status.encode()
        load(self.path, device="cpu")


class PictureSection(Parser):
    """``[picture]`` of a config, and a picture that is developed as it says."""

    def start(self) -> None:
        self.picture = next(iter(read_scenes([self.material["picture"]])))

    def strategy(self) -> st.SearchStrategy[str]:
        names = st.sampled_from([key.partition(".")[2] for key in KEYS if key.startswith("picture.")])
        numbers = st.floats(allow_nan=True).map(str) | st.sampled_from(
            ["1e5", "1e-300", "-1", "0.5", "2", "nan", "inf"]
        )
        choices = st.sampled_from(['"each"', '"yes"', '"no"', '"none"', '"flat"', '"red"', '"brightest"', '"x"'])
        lines = st.lists(st.builds("{} = {}".format, names, numbers | choices | WORDS), max_size=5)
        return lines.map(lambda each: "\n".join(["[picture]", *each]))

    def mutated(self, draw: random.Random) -> str:
        values = {"object_size": draw.choice((0, 1e-3, 3, 20, 500, 1e5)), "black": draw.uniform(-1, 1)}
        values |= {"white": draw.uniform(0, 2)}
        words = {"channel": ("grey", "red", "brightest"), "invert": ("no", "yes", "each"), "adapt": ("no", "yes")}
        lines = [f"{name} = {value}" for name, value in values.items()]
        lines += [f'{name} = "{draw.choice(some)}"' for name, some in words.items()]
        text = "\n".join(["[picture]", *lines])
        return text if draw.random() < 0.5 else mutate(text.encode(), draw).decode("utf-8", "replace")

    def read(self, value: str) -> None:
        path = self.folder / "config.toml"
        path.write_text(value, encoding="utf-8", errors="surrogatepass")
        chosen = config.load(path).picture
        canvas = scenes.develop(self.picture, chosen).canvas
        assert np.isfinite(canvas).all()


PARSERS = (Idx, GzippedIdx, Hdf5, Imported, Checkpoint, Exported, Configs, PictureSection, CommandLine, Pictures)


@pytest.fixture(scope="module")
def material(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = tmp_path_factory.mktemp("material") / "run"
    train.train(small_data, run, small("train.steps=2"), threads=1, device="cpu")
    exported_model, picture, imported = run.with_name("m.airctl"), run.with_name("p.png"), run.with_name("i.h5")
    airctl.export(run, exported_model)
    Image.fromarray(cells(12, 90, 110, 20, 0).quantised(8)).save(picture)
    how = {"object_size": 20.0, "channel": "grey", "invert": "no", "train": 8, "test": 2}
    airctl.import_pictures([picture], imported, **how)
    return {
        "scenes": small_data.read_bytes(),
        "checkpoint": run / "checkpoints/step_00000002",
        "exported": exported_model.read_bytes(),
        "imported": imported.read_bytes(),
        "picture": picture,
    }


@pytest.mark.parametrize("number", [pytest.param(150, id="some"), pytest.param(ALL, id="all", marks=pytest.mark.soak)])
@pytest.mark.parametrize("kind", PARSERS)
def test_no_input_brings_a_parser_down(
    kind: type[Parser], number: int, material: dict[str, Any], tmp_path: Path, tally: Tally
) -> None:
    """Accepted, or an error of airctl's own, within 512 MB; some are accepted and some not, so that both are tried."""
    outcome = in_fork(lambda: fuzz(lambda: kind(tmp_path, material), number))
    assert outcome.code == 0, outcome.message
    assert outcome.value["tried"] == number
    assert 0 < outcome.value["accepted"] < number
    if number == ALL:
        assert outcome.value["slowest_seconds"] < 2
        tally(f"inputs for the parser {kind.__name__}", **outcome.value)
