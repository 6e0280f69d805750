"""How hard the second look tries. The constants were chosen on scenes of the train split (docs/experiments.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """What of the second look costs time, and what it makes of many explanations of one scene."""

    unexplained: float  # share of a scene's squared brightness that may be left over without a second look
    places: int  # pairs of places with ink where a move puts objects, beside those that the network sees
    pairs: int  # of noise and its negative, by which a move is judged before it climbs
    trust: float  # weight of the first pass's log q(n) beside the bounds
    doubt: float  # nats that each object more than were found before must explain beyond what it costs


USUAL = Effort(unexplained=0.2, places=0, pairs=4, trust=1.0, doubt=15.0)
# For objects that overlap, of which the first pass sees too few: more is tried, and less held against what is found.
CROWDED = Effort(unexplained=0.1, places=6, pairs=1, trust=0.5, doubt=0.0)
