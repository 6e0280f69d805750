"""Scenes come and go in blocks: the bytes of a file, the checks and the figures are those of all scenes at once."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from airctl.errors import InputFileError, StorageError
from airctl.scenes import (
    Glyphs,
    SceneSpec,
    SceneSplit,
    compose_blocks,
    compose_scenes,
    keep_split,
    open_split,
    read_split,
    statistics,
    stored,
    write_scenes,
    writing,
)
from airctl.scenes import spec as specs

SPEC = SceneSpec(train=1000, test=30, max_digits=3, canvas=60, seed=4)


@pytest.fixture(scope="module")
def splits(glyphs: Glyphs) -> tuple[SceneSplit, SceneSplit]:
    return compose_scenes(SPEC, glyphs)


def test_blocks_give_the_bytes_that_whole_splits_give(
    tmp_path: Path, glyphs: Glyphs, splits: tuple[SceneSplit, SceneSplit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the arrays that wait for their turn wait on the disk; scenes in another order are the control."""
    write_scenes(tmp_path / "whole.h5", SPEC, glyphs, *splits)
    write_scenes(tmp_path / "blocks.h5", SPEC, glyphs, *compose_blocks(SPEC, glyphs))
    monkeypatch.setattr(writing, "_SPOOLED", 0)
    write_scenes(tmp_path / "disk.h5", SPEC, glyphs, *compose_blocks(SPEC, glyphs))
    turned = SceneSplit(*(values[::-1] for values in vars(splits[0]).values()))
    write_scenes(tmp_path / "turned.h5", SPEC, glyphs, turned, splits[1])
    whole, *same, turned_bytes = ((tmp_path / f"{n}.h5").read_bytes() for n in ("whole", "blocks", "disk", "turned"))
    assert specs.scenes_in_a_block(60) < 1000
    assert same == [whole, whole]
    assert turned_bytes != whole


def test_a_disk_that_is_full_in_the_midst_of_a_block_is_told(
    tmp_path: Path, glyphs: Glyphs, splits: tuple[SceneSplit, SceneSplit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is full: exit code 6, the old file as it was, and nothing beside it."""
    path = tmp_path / "s.h5"
    write_scenes(path, SPEC, glyphs, *splits)
    size, before = path.stat().st_size, path.read_bytes()
    real = writing._Disk.__init__

    def limited(most: int) -> None:
        def init(disk: writing._Disk, stream: object) -> None:
            real(disk, Full(stream, most))

        monkeypatch.setattr(writing._Disk, "__init__", init)

    for most in (0, 100, size // 3, size - 1000, size - 1):
        limited(most)
        with pytest.raises(StorageError, match="No space left") as caught:
            write_scenes(path, SPEC, glyphs, *splits)
        assert caught.value.exit_code == 6
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]
    limited(size)
    write_scenes(path, SPEC, glyphs, *splits)  # the control


class Full:
    """A file that has room for so many bytes."""

    def __init__(self, stream: object, most: int) -> None:
        self.stream, self.most = stream, most

    def write(self, content: memoryview) -> int:
        if self.stream.tell() + len(content) > self.most:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.stream.write(content)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


def test_kept_scenes_are_those_of_the_file(
    tmp_path: Path, glyphs: Glyphs, splits: tuple[SceneSplit, SceneSplit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory and on the disk, all of them or the first."""
    path = tmp_path / "s.h5"
    write_scenes(path, SPEC, glyphs, *splits)
    for limit in (2**28, 0):
        monkeypatch.setattr(stored, "IN_MEMORY", limit)
        for most in (None, 16):
            found = keep_split(path, "train", most)
            assert (found.images.in_memory is None) == (limit == 0)
            for name in ("images", "counts", "boxes"):
                assert np.array_equal(getattr(found, name)[:], getattr(splits[0], name)[:most]), (limit, most, name)


@pytest.mark.parametrize("name", ["images", "counts", "digit_index"])
def test_a_change_in_the_last_block_is_found(
    tmp_path: Path, glyphs: Glyphs, splits: tuple[SceneSplit, SceneSplit], name: str
) -> None:
    """By the values or by the sha256, although the blocks before it are good; unchanged, all is read."""
    path = tmp_path / "s.h5"
    write_scenes(path, SPEC, glyphs, *splits)
    with open_split(path, "train") as whole:
        assert sum(len(block.counts) for block in whole.blocks()) == 1000
    with h5py.File(path, "r+") as file:
        file["train"][name][-1] = file["train"][name][-1] + (file["train"][name][-1] >= 0)
    for most in (None, 16):
        with pytest.raises(InputFileError, match=r"differ from their sha256|contradict|has a count"):
            keep_split(path, "train", most)


def test_statistics_of_blocks_are_those_of_all(splits: tuple[SceneSplit, SceneSplit]) -> None:
    """To the last bit, whatever the blocks are."""
    assert statistics(splits[0].blocks(7)) == statistics(splits[0]) == statistics(splits[0].blocks(1000))
    assert statistics(splits[0].blocks(7)) != statistics(splits[1])


def test_chunks_of_parts_of_scenes_are_refused(tmp_path: Path, glyphs: Glyphs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column of all scenes in a chunk would have all of them unpacked for each block."""
    spec = SceneSpec(train=20, test=0)
    write_scenes(tmp_path / "s.h5", spec, glyphs, *compose_scenes(spec, glyphs))
    monkeypatch.setattr(stored, "_MOST_BLOCK_BYTES", 20 * 2500 - 1)
    with pytest.raises(InputFileError, match="expected whole scenes"):
        read_split(tmp_path / "s.h5", "train")


# --- memory, of processes of their own -------------------------------------------------------------------------------

PEAK = """
    import resource, sys
    from pathlib import Path
    import numpy as np
    from airctl.scenes import Glyphs, SceneSpec, SceneSplit, keep_split, open_split, statistics, stored, write_scenes

    def black(scenes):
        for start in range(0, scenes, 2000):
            yield SceneSplit.blank(min(2000, scenes - start), SceneSpec(train=1, max_digits=0))

    path, scenes = Path(sys.argv[1]), int(sys.argv[2])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    none = Glyphs(*[np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.uint8)] * 2, "none", "0" * 64)
    write_scenes(path, SceneSpec(train=scenes, test=0, max_digits=0), none, black(scenes), [])
    with open_split(path, "train") as split:
        assert statistics(split.blocks())["scenes"] == scenes
    stored.IN_MEMORY = 0
    kept = keep_split(path, "train")
    assert not kept.images[np.random.default_rng(0).integers(0, scenes, 64)].any()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def peak(path: Path, scenes: int) -> int:
    """By how many megabytes the memory of a process grows that writes so many scenes, looks at them and keeps them."""
    command = [sys.executable, "-c", textwrap.dedent(PEAK), str(path), str(scenes)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) // 1024


def test_memory_does_not_grow_with_the_scenes(tmp_path: Path) -> None:
    """Five times as many scenes, 80 MB more of pixels, are written, looked at and kept in the same memory."""
    small, large = (peak(tmp_path / f"{scenes}.h5", scenes) for scenes in (8_000, 40_000))
    assert large < small + 30, (small, large)
