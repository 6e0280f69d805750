"""Any number of processes write one file, and a reader sees one of them whole."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from reliability.faults import ended, forked, in_fork

from airctl.errors import ConfigError, InputFileError
from airctl.files import append, atomic_path, sha256_of, sha256_of_stranger, write_bytes, write_text, write_together

SIZE = 20_000


def whole(path: Path, times: int) -> int:
    """How many of so many reads found something that no writer has written."""
    torn = 0
    for _ in range(times):
        content = path.read_bytes()
        torn += len(content) != SIZE or content != content[:1] * SIZE
    return torn


def in_place(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def again_and_again(write, path: Path, letter: int) -> None:
    while True:
        write(path, bytes([letter]) * SIZE)


@pytest.mark.parametrize(
    "reads", [pytest.param(5000, id="some"), pytest.param(200_000, id="all", marks=pytest.mark.soak)]
)
def test_four_writers_of_one_file_leave_no_torn_read(reads: int, tmp_path: Path) -> None:
    """Not one; none of the writers fails, and nothing but the file is left. The control, in place, is torn at once."""
    for write, careful in ((write_bytes, True), (in_place, False)):
        path = tmp_path / write.__name__ / "file"
        write_text(path, "")
        write(path, b"0" * SIZE)
        children = [
            forked(lambda letter=letter, write=write, path=path: again_and_again(write, path, letter))
            for letter in b"1234"
        ]
        seen = set()
        while len(seen) < 4:  # until each of them has written
            seen |= set(path.read_bytes()[:1])
        torn = whole(path, reads)
        for child in children:
            os.kill(child[0], signal.SIGKILL)
        assert [ended(*child).code for child in children] == [-9] * 4
        assert (torn == 0) == careful
    assert in_fork(lambda: write_bytes(tmp_path / "write_bytes/file", b"last")).code == 0  # another process cleans
    assert [p.name for p in (tmp_path / "write_bytes").iterdir()] == ["file"]


def test_the_part_of_a_living_writer_is_not_deleted(tmp_path: Path) -> None:
    """While one is at work, another process that writes into the folder leaves its part alone."""
    with atomic_path(tmp_path / "a") as part:
        part.write_text("slowly")
        assert in_fork(lambda: write_text(tmp_path / "a", "quickly")).code == 0
        assert part.exists()
    assert (tmp_path / "a").read_text() == "slowly"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("links", [True, False])
def test_what_came_meanwhile_is_not_overwritten(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that make a new file at the same time: the second is told so, also on a disk without hard links."""

    def no_links(*arguments: object, **options: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def second(meanwhile: Callable[[], object]) -> None:
        with atomic_path(tmp_path / "a", replace=False) as part:
            part.write_text("second")
            meanwhile()

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    for came in (lambda: (tmp_path / "a").write_text("first"), lambda: (tmp_path / "a").symlink_to("nowhere")):
        with pytest.raises(ConfigError, match="exists: say force=True"):
            second(came)
        assert [p.name for p in tmp_path.iterdir()] == ["a"]
        (tmp_path / "a").unlink()
    write_text(tmp_path / "a", "new", replace=False)
    assert (tmp_path / "a").read_text() == "new"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A line added to a pipe that nobody reads is refused."""
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(ConfigError):
        append(tmp_path / "metrics.jsonl", "{}\n")


@pytest.mark.parametrize("taken", ["a", "b", "c", None])
def test_files_that_belong_together_are_all_new_or_none(taken: str | None, tmp_path: Path) -> None:
    """If one of them came while they were written it stays, and the others are not left; with replace all are new."""
    contents = {tmp_path / name: b"new" for name in "abc"}
    if taken is None:
        write_together(contents, replace=False)
        assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"new"}
        return
    (tmp_path / taken).write_bytes(b"mine")
    with pytest.raises(ConfigError, match="exists"):
        write_together(contents, replace=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(taken, b"mine")]
    write_together(contents)
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == [(n, b"new") for n in "abc"]


def test_two_that_write_together_at_once_do_not_mix(tmp_path: Path) -> None:
    """Each time one of two processes has all three names, and the other is refused."""
    for number in range(20):
        place = tmp_path / str(number)
        sets = [{place / name: letter * 10 for name in "abc"} for letter in (b"1", b"2")]
        children = [forked(lambda contents=contents: write_together(contents, replace=False)) for contents in sets]
        assert sorted(ended(*child).code for child in children) == [0, ConfigError.exit_code]
        assert len({path.read_bytes() for path in place.iterdir()}) == 1
        assert len(list(place.iterdir())) == 3


def test_a_strangers_file_is_digested_within_bounds(tmp_path: Path) -> None:
    """An ordinary file as ever; no link, no pipe, no folder, and nothing larger than was allowed."""
    path = tmp_path / "file"
    path.write_bytes(bytes(3 << 20))
    assert sha256_of_stranger(path, 3 << 20) == sha256_of(path)
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    for name, most in (("file", (3 << 20) - 1), ("link", 1 << 30), ("pipe", 1 << 30), (".", 1 << 30), ("no", 1 << 30)):
        with pytest.raises(InputFileError):
            sha256_of_stranger(tmp_path / name, most)
