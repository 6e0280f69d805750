"""Whether a model's probabilities mean what they say: of the scenes counted with 90 %, nine in ten should be right.

S scenes, N the most objects that can be counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Scenes by the probability of their most probable count; a bin reaches from above its lower edge to its upper."""

    edges: np.ndarray  # [BINS + 1] of the bins, from 0 to 1
    scenes: np.ndarray  # [BINS] how many scenes fall into each
    confidence: np.ndarray  # [BINS] mean probability of their counts; 0 for an empty bin
    accuracy: np.ndarray  # [BINS] share of their counts that are right; 0 for an empty bin

    @property
    def error(self) -> float:
        """Expected calibration error: sum over bins of (scenes / S) |accuracy - confidence|, in [0, 1].

        Guo et al. 2017 ("On calibration of modern neural networks"), equation 3. A perfect model has an error above 0
        too, because the accuracy of a bin with few scenes is a matter of chance.
        """
        gaps = self.scenes * np.abs(self.accuracy - self.confidence)
        return float(gaps.sum() / max(1, self.scenes.sum()))


def calibration(probabilities: np.ndarray, true_counts: np.ndarray, bins: int = BINS) -> Calibration:
    """Compare ``probabilities`` = p(n | x) [S, N + 1] with ``true_counts`` [S], in ``bins`` bins of equal width.

    A true count above N is one that cannot be right.
    """
    confidence = probabilities.max(1, initial=0.0).astype(np.float64)
    right = probabilities.argmax(1) == true_counts
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    scenes = np.bincount(index, minlength=bins)
    some = np.maximum(scenes, 1)
    return Calibration(
        edges=np.linspace(0, 1, bins + 1),
        scenes=scenes,
        confidence=np.bincount(index, confidence, bins) / some,
        accuracy=np.bincount(index, right, bins) / some,
    )
