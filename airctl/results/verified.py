"""What ``airctl verify`` found: every digest that was computed again, and who names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from airctl.results.as_json import Is
from airctl.results.units import Sha256

MATCHES, MISSING, DIFFERS = "matches", "missing", "differs"  # the statuses


@dataclass(frozen=True, kw_only=True)
class Link:
    """One link of the chain from data to checkpoint to export to result."""

    what: Annotated[str, Is("the file, or what a file says that it was made of")]
    status: Annotated[str, Is("matches; missing: named by nobody, or not there to compare with; or differs")]
    expected: Annotated[Sha256 | None, Is("what is named; null if nothing is")] = None
    found: Annotated[Sha256 | None, Is("what was computed; null if it is not there, or cannot be read")] = None
    reason: Annotated[str | None, Is("where it was found, or what is wrong with it")] = None


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The chain of one or more runs, exported models, folders of counts and scene files."""

    sources: Annotated[list[str], Is("what was looked at")]
    links: Annotated[list[Link], Is("every link that was looked at")]

    @property
    def differing(self) -> list[Link]:
        """The links that are broken."""
        return [link for link in self.links if link.status == DIFFERS]
