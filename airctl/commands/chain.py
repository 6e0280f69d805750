"""The links of the chain from data to result: what was computed, what is claimed, and whether the two agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airctl.errors import InputFileError
from airctl.files import is_regular, sha256_of_stranger
from airctl.results.as_json import SEAL, read_object, seal_of
from airctl.results.verified import DIFFERS, MATCHES, MISSING, Link

MOST = 1 << 38  # bytes of a file whose sha256 is computed
CHANGED = "it was changed, or is not whole"
OLDER = "it names none: an older airctl wrote it"
_HDF5 = b"\x89HDF\r\n\x1a\n"

Actual = Callable[[], tuple[str | None, str]]  # the sha256 of what lies where it should, and a word on it


@dataclass(frozen=True)
class _Claim:
    """What a file says that it was made of; looked for when everything has been computed."""

    what: str
    expected: str | None
    actual: Actual


@dataclass
class Chain:
    """Links that are known, claims that are not answered yet, and every sha256 that was computed."""

    data: Path | None  # a scene file, where it is not in the place that others name
    links: list[Link] = field(default_factory=list)
    claims: list[_Claim] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)  # of what each sha256 is

    def claim(self, what: str, expected: str | None, actual: Actual) -> None:
        """Note what ``what`` says that it was made of; ``actual`` looks where it should be.

        Only if that gives nothing, it is looked for in everything that was computed.
        """
        self.claims.append(_Claim(what, expected, actual))

    def computed(self, path: Path) -> str | None:
        """The sha256 of a file of a source; None if it is not there or no ordinary file."""
        try:
            found = sha256_of_stranger(path, MOST)
        except InputFileError:
            return None
        self.known[found] = str(path)
        return found

    def compared(self, what: object, expected: str | None, found: str | None, wrong: str = CHANGED) -> None:
        """The link of what is named to what was computed in the one place where it is."""
        status = MISSING if expected is None else MATCHES if expected == found else DIFFERS
        reason = OLDER if expected is None else None if expected == found else wrong
        self.links.append(Link(what=str(what), status=status, expected=expected, found=found, reason=reason))

    def sealed(self, path: Path) -> dict[str, Any]:
        """The object in a file that holds its own sha256."""
        if path.is_symlink():
            raise InputFileError(f"{path} is a link")
        told = read_object(path)
        found = seal_of(told)
        self.known[found] = str(path)
        self.compared(path, text(told.get(SEAL)), found)
        return told

    def scenes_at(self, place: str | None) -> Actual:
        """What lies where a file says that its scenes are, if it is an HDF5 file and no link; or in ``data``."""

        def actual() -> tuple[str | None, str]:
            path = self.data or Path(place or "")
            if not is_regular(path):
                return None, f"{place or 'the scene file'} is not there: say where it is with data=FILE"
            try:
                with open(path, "rb") as stream:
                    if stream.read(len(_HDF5)) != _HDF5:
                        return None, f"{path} is no scene file"
                found = sha256_of_stranger(path.resolve() if self.data else path, MOST)
            except (OSError, InputFileError) as error:
                return None, str(error)
            self.known[found] = str(path)
            return found, str(path)

        return actual

    def answered(self) -> Iterator[Link]:
        """A link for each claim: what it names is there, or is something else, or is nowhere to be found."""
        looked = [claim.actual() for claim in self.claims]
        for claim, (found, place) in zip(self.claims, looked, strict=True):
            if claim.expected is None:
                yield Link(what=claim.what, status=MISSING, reason=OLDER)
                continue
            if found is None and claim.expected in self.known:
                found, place = claim.expected, self.known[claim.expected]
            status = MISSING if found is None else MATCHES if found == claim.expected else DIFFERS
            reason = f"{place} is another" if status == DIFFERS else place
            yield Link(what=claim.what, status=status, expected=claim.expected, found=found, reason=reason)


def text(value: Any) -> str | None:
    """``value`` if it is text: a stranger's file may say anything."""
    return value if isinstance(value, str) else None
