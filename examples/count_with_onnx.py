"""Count the objects of pictures with numpy and onnxruntime alone: what is between the graphs of ``airctl export``.

    airctl export runs/first -o digits.onnx
    python count_with_onnx.py digits.onnx scene.png ...

Pictures are grey, bright on black and of the size of the canvas; Pillow reads them. docs/onnx.md explains the steps.
M objects, K = 2^M subsets, G x G pixels of a glimpse, H x W of the picture.
"""

from __future__ import annotations

import json
import sys
from math import comb
from pathlib import Path

import numpy as np
import onnxruntime


class Counter:
    """The model in NAME.map.onnx, NAME.encoder.onnx and NAME.decoder.onnx."""

    def __init__(self, path: Path) -> None:
        self.map, self.encoder, self.decoder = (
            onnxruntime.InferenceSession(path.with_suffix(f".{name}.onnx"), providers=["CPUExecutionProvider"])
            for name in ("map", "encoder", "decoder")
        )
        told = [graph.get_modelmeta().custom_metadata_map for graph in (self.map, self.encoder, self.decoder)]
        if len({of["weights_sha256"] for of in told}) > 1:
            raise ValueError(f"the graphs of {path} are of different models")
        texts = {"airctl", "graph", "weights_sha256"}
        self.meta = {key: json.loads(value) for key, value in told[0].items() if key not in texts}
        number = self.meta["objects"]
        self.members = (np.arange(2**number)[:, None] >> np.arange(number) & 1).astype(np.float64)  # [K, M]
        self.sizes = self.members.sum(1).astype(int)  # [K]

    def log_count(self, picture: np.ndarray) -> np.ndarray:
        """log p(n | x) for n = 0..M, [M + 1], of one ``picture`` [H, W] with pixels in [0, 1]."""
        meta = self.meta
        picture = picture.astype(np.float32)
        logits, loc, sd = (out[0] for out in self.map.run(None, {"picture": picture[None, None]}))
        cells = best_cells(logits, meta["maxima"], meta["dense"], meta["radius"])
        logits, where, where_sd = logits.ravel()[cells], loc.reshape(-1, 3)[cells], sd.reshape(-1, 3)[cells]

        hats = self.hats(where, picture.shape)
        glimpses = hats.crop(picture)
        what, what_sd = self.encoder.run(None, {"glimpses": glimpses.astype(np.float32)})
        (drawn,) = self.decoder.run(None, {"z_what": what})
        pasted = hats.paste(drawn)  # [M, H, W]

        area = np.log(picture.size)  # p(z_where): the size standard normal, the centre anywhere
        entropy = np.log(where_sd[:, 1:]).sum(1) + np.log(2 * np.pi * np.e)
        kl = normal_kl(where[:, :1], where_sd[:, :1]) + area - entropy + normal_kl(what, what_sd)
        return self.read(picture, pasted, kl, logits)

    def read(self, picture: np.ndarray, pasted: np.ndarray, kl: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """log p(n | x) [M + 1] from all subsets of M objects ``pasted`` [M, H, W], their ``kl`` and ``logits`` [M]."""
        meta, S = self.meta, self.members
        flat = pasted.reshape(len(pasted), -1).astype(np.float64)
        b, gram = flat @ picture.ravel(), flat @ flat.T
        # |x - sum of the subset|^2 but for |x|^2, which all subsets share
        squares = ((S @ gram) * S).sum(1) - 2 * S @ b
        choices = np.log([comb(len(kl), n) for n in range(len(kl) + 1)])
        log_p = (np.array(meta["log_count_prior"]) - choices)[self.sizes]
        log_w = -0.5 * squares / meta["likelihood_sd"] ** 2 - S @ kl + log_p
        log_q = S @ logits  # but for what all subsets share
        log_posterior = log_w / meta["reading_temperature"] + log_q
        of_count = [np.logaddexp.reduce(log_posterior[self.sizes == n]) for n in range(len(kl) + 1)]
        return np.array(of_count) - np.logaddexp.reduce(of_count)

    def count(self, picture: np.ndarray) -> int:
        """The most probable number of objects in ``picture`` [H, W] with pixels in [0, 1]."""
        return int(self.log_count(picture).argmax())

    def hats(self, where: np.ndarray, shape: tuple[int, int]) -> Hats:
        """The bilinear weights of crop and paste at ``where`` = (size, x, y) [M, 3] on a picture of ``shape``."""
        meta = self.meta
        side = meta["usual_side"] * meta["spread"] ** np.tanh(where[:, 0])  # [M] pixels
        return Hats(where[:, ::-1][:, :2], side, meta["window"], meta["glimpse"], shape)


class Hats:
    """Bilinear crop and paste, which are separable: a matrix for the rows and one for the columns of each object.

    An object sees and fills no more than its window, so many whole pixels around its ``centre`` (y, x) [M, 2].
    """

    def __init__(self, centre: np.ndarray, side: np.ndarray, window: int, glimpse: int, shape: tuple[int, int]) -> None:
        unit = (np.arange(glimpse) + 0.5) / glimpse - 0.5
        self.crops, self.pastes = [], []
        for axis, length in enumerate(shape):
            pixels = np.arange(length)
            corner = np.round(centre[:, axis] - np.float32(window / 2))[:, None]
            inside = ((pixels >= corner) & (pixels < corner + window))[:, None]  # [M, 1, length]
            places = centre[:, axis, None] + side[:, None] * unit  # [M, G] pixels of the picture
            self.crops.append(hat(places[..., None] - (pixels + 0.5)) * inside)  # [M, G, length]
            places = (pixels + 0.5 - centre[:, axis, None]) * (glimpse / side)[:, None] + glimpse / 2  # [M, length]
            self.pastes.append(hat(places[:, None] - (np.arange(glimpse) + 0.5)[:, None]) * inside)  # [M, G, length]

    def crop(self, picture: np.ndarray) -> np.ndarray:
        """The glimpses of ``picture`` [H, W], [M, G, G]."""
        rows, columns = self.crops
        return rows @ picture @ columns.transpose(0, 2, 1)

    def paste(self, drawn: np.ndarray) -> np.ndarray:
        """Objects ``drawn`` [M, G, G], each on a black picture of its own, [M, H, W]."""
        rows, columns = self.pastes
        return rows.transpose(0, 2, 1) @ drawn @ columns


def best_cells(logits: np.ndarray, maxima: int, dense: int, radius: int) -> np.ndarray:
    """The flat cells [M] of the highest local maxima of ``logits`` [h, w], then the ``dense`` highest of the rest."""
    span = 2 * radius + 1
    padded = np.pad(logits, radius, constant_values=-np.inf)
    highest = np.lib.stride_tricks.sliding_window_view(padded, (span, span)).max((2, 3))
    # Where there are too few maxima the next highest cells follow.
    first = (-np.where(logits == highest, logits, logits - 1e4).ravel()).argsort(kind="stable")[:maxima]
    rest = logits.ravel().copy()
    rest[first] = -np.inf
    return np.concatenate([first, (-rest).argsort(kind="stable")[:dense]])


def normal_kl(loc: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """KL(N(loc, sd) || N(0, 1)) [M], nats, summed over the last dimension of [M, E]."""
    return (0.5 * (loc**2 + sd**2 - 1) - np.log(sd)).sum(-1)


def hat(distance: np.ndarray) -> np.ndarray:
    """The bilinear weight of a pixel at this distance from a place, in pixels."""
    return np.maximum(0, 1 - np.abs(distance))


if __name__ == "__main__":
    from PIL import Image

    counter = Counter(Path(sys.argv[1]))
    for name in sys.argv[2:]:
        print(name, counter.count(np.asarray(Image.open(name).convert("L")) / 255))
