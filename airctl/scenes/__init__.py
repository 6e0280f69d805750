"""Scenes: composed of digits or cut out of pictures, and the file that holds them."""

import os

os.environ["HDF5_PLUGIN_PRELOAD"] = "::"  # keeps foreign filter plugins out; HDF5 reads it once, when h5py is imported

from airctl.config import PictureConfig
from airctl.scenes.compose import compose_blocks, compose_scenes
from airctl.scenes.counted import counts_of, read_counts
from airctl.scenes.developing import choose, develop
from airctl.scenes.fetch import fetch_mnist, fetch_mnist_5k
from airctl.scenes.generate import check_output, generate_data
from airctl.scenes.glyphs import NAMED_SOURCES, Glyphs, load_glyphs
from airctl.scenes.idx import read_idx
from airctl.scenes.importing import import_pictures
from airctl.scenes.ink import ink_size, object_size, told_size
from airctl.scenes.own_pictures import Fitted, Fitting, Picture, fit, read_scenes
from airctl.scenes.rows import Rows
from airctl.scenes.spec import PRESETS, SceneSpec, SceneSplit
from airctl.scenes.statistics import statistics
from airctl.scenes.store import IMPORTED, picture_of, read_attributes, write_scenes
from airctl.scenes.stored import KeptScenes, StoredSplit, keep_split, open_split, read_split

__all__ = [
    "IMPORTED",
    "NAMED_SOURCES",
    "PRESETS",
    "Fitted",
    "Fitting",
    "Glyphs",
    "KeptScenes",
    "Picture",
    "PictureConfig",
    "Rows",
    "SceneSpec",
    "SceneSplit",
    "StoredSplit",
    "check_output",
    "choose",
    "compose_blocks",
    "compose_scenes",
    "counts_of",
    "develop",
    "fetch_mnist",
    "fetch_mnist_5k",
    "fit",
    "generate_data",
    "import_pictures",
    "ink_size",
    "keep_split",
    "load_glyphs",
    "object_size",
    "open_split",
    "picture_of",
    "read_attributes",
    "read_counts",
    "read_idx",
    "read_scenes",
    "read_split",
    "statistics",
    "told_size",
    "write_scenes",
]
