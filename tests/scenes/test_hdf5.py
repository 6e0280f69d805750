"""Strangers' HDF5 files: whatever leads out of the file, or declares more than it holds, is refused unread."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from airctl.errors import InputFileError
from airctl.scenes import read_attributes, read_split

from .damage import CHUNKS, IMAGES, Change, attribute, dataset, refused, refused_after, swap


@pytest.mark.parametrize("name", ["absent.h5", "folder", "pipe", "x" * 5000, "zero\0byte"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    """Missing files, folders, pipes and impossible names."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / name, "no such file")


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    """Nothing, a text, an HDF5 file of somebody else."""
    path = tmp_path / "s.h5"
    for data in (b"", b"counts,images\n", b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(data)
        refused(path, "truncated, damaged or no HDF5 file")
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(3)
    refused(path, "has no attribute schema")
    with pytest.raises(InputFileError, match="has no attribute schema"):
        read_attributes(path)


def external_storage(group: h5py.Group, folder: Path) -> None:
    (folder / "secret").write_bytes(bytes(10**5))
    swap(group, "images", shape=(20, 50, 50), dtype="u1", external=[(str(folder / "secret"), 0, 50000)])


def virtual_dataset(group: h5py.Group, folder: Path) -> None:
    shutil.copy(group.file.filename, folder / "copy.h5")
    layout = h5py.VirtualLayout(shape=(20, 50, 50), dtype="u1")
    layout[:] = h5py.VirtualSource(str(folder / "copy.h5"), "train/images", shape=(20, 50, 50))
    del group["images"]
    group.create_virtual_dataset("images", layout)


def link(target: object) -> Change:
    def put(group: h5py.Group, folder: Path) -> None:
        group.move("images", "elsewhere")
        group["images"] = target

    return put


def no_dataset(group: h5py.Group, folder: Path) -> None:
    del group["labels"]


def no_group(group: h5py.Group, folder: Path) -> None:
    del group.file["train"]


def group_for_dataset(group: h5py.Group, folder: Path) -> None:
    del group["labels"]
    group.create_group("labels")


def huge(group: h5py.Group, folder: Path) -> None:
    """Ten terabytes that fit their attributes and take no room."""
    del group.file["train"]
    n, new = 4 * 10**9, group.file.create_group("train")
    group.file.attrs["train"] = np.int64(n)
    new.attrs["sha256"] = np.bytes_("0" * 64)
    slots = {"labels": "u1", "scales": "f4", "digit_index": "i4"}
    new.create_dataset("images", (n, 50, 50), "u1", chunks=(400, 50, 50))
    new.create_dataset("counts", (n,), "u1", chunks=(10**6,))
    new.create_dataset("boxes", (n, 2, 4), "i2", chunks=(10**5, 2, 4))
    for name, dtype in slots.items():
        new.create_dataset(name, (n, 2), dtype, chunks=(10**5, 2))


HOSTILE = {
    "external storage": (external_storage, "not stored in chunks of its own file"),
    "virtual dataset": (virtual_dataset, "not stored in chunks of its own file"),
    "external link": (link(h5py.ExternalLink("/etc/passwd", "/")), "link to somewhere else"),
    "soft link": (link(h5py.SoftLink("/train/elsewhere")), "link to somewhere else"),
    "contiguous": (dataset("images", data=IMAGES), "not stored in chunks"),
    "declared, never written": (dataset("images", shape=(20, 50, 50), dtype="u1", **CHUNKS), "does not hold"),
    "ten terabytes": (huge, "which it cannot hold"),
    "a huge chunk": (
        dataset("counts", shape=(20,), dtype="u1", chunks=(2**27,), maxshape=(None,), compression="gzip"),
        "in chunks of 134217728",
    ),
    "another filter": (dataset("images", data=IMAGES, compression="lzf", **CHUNKS), "filters"),
    "no dataset": (no_dataset, "has no /train/labels"),
    "no group": (no_group, "has no /train"),
    "a group for a dataset": (group_for_dataset, "labels is no dataset"),
    "a text for a number": (attribute("canvas", "50"), "no plain int"),
    "an array for a number": (attribute("canvas", [50, 50]), "no plain int"),
    "a huge attribute": (attribute("preset", np.bytes_("x" * 5000)), "no plain str"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused(scene_file: Path, kind: str) -> None:
    """Each with its own sentence, before its values are used."""
    change, message = HOSTILE[kind]
    refused_after(change, message, scene_file)


def test_more_than_half_of_the_memory_is_refused(scene_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros that are there are packed a thousand to one: a small file must not fill a small machine."""
    monkeypatch.setattr(os, "sysconf", lambda name: 317)
    read_split(scene_file, "train")  # the control: 50 000 bytes, of 100 489
    monkeypatch.setattr(os, "sysconf", lambda name: 316)
    refused(scene_file, "train/images is 50000 bytes large, more than half of this machine's memory")


def test_a_linked_group_is_not_followed(scene_file: Path, tmp_path: Path) -> None:
    """A whole split behind an external link to a file that is good in itself."""
    shutil.copy(scene_file, tmp_path / "other.h5")
    with h5py.File(scene_file, "r+") as file:
        del file["train"]
        file["train"] = h5py.ExternalLink("other.h5", "/train")
    refused(scene_file, "train is a link to somewhere else")


def test_foreign_filter_plugins_stay_out() -> None:
    """HDF5 is told so before it is loaded, whichever module of the package comes first."""
    script = """
        import os, sys
        class Watch:
            def find_spec(self, name, *rest):
                if name == "h5py":
                    print(os.environ.get("HDF5_PLUGIN_PRELOAD"))
        sys.meta_path.insert(0, Watch())
        import airctl.scenes.store
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "::\n"
