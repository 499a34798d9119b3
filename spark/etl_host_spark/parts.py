"""What a job's tasks tell its driver, and what the driver asks of the place that they write to: a folder
that all nodes share (`folder.py`), or one in a store (`store.py`).
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from .splits import Split


@dataclass(frozen=True)
class Told:
    """What a task tells the driver: some 500 bytes, for there may be a million of them, and 45 for each part
    that it sent to a store. `left`: what its attempt has left, in the words of the place."""

    split: int
    attempt: str
    left: dict[str, Any]
    lines: int
    counts: dict[str, int]
    input_version: str | None
    plugin_sha256: str
    model: str
    seconds: float


class Attempt(Protocol):
    """An attempt at a split, in its task."""

    def options(self) -> list[str]:
        """Where the host is to write."""

    def summary(self) -> dict[str, Any]:
        """What the host said of itself."""

    def left(self) -> dict[str, Any]:
        """What the driver has to know to publish it."""


class Output(Protocol):
    """Where a job writes to. Travels to the tasks, which make attempts; all else is the driver's."""

    def attempt(self, split: int, name: str) -> AbstractContextManager[Attempt]:
        """Begins an attempt."""

    def publish(self, planned: Sequence[Split], told: Sequence[Told], summary: bytes, has_rejects: bool) -> None:
        """Makes one attempt of each split visible, with rejects and summary. Where it raises, either nothing is
        published, and the job is ended; or `finish` can complete it."""

    def abandon(self, told: Sequence[Told]) -> None:
        """Ends a job that was not asked to publish."""


def lines_before(planned: Sequence[Split], told: Sequence[Told]) -> Iterator[tuple[Told, int | None]]:
    """Each part, with the lines of its input that stand before it; none where its rejects know their line."""
    input_now, before = "", 0
    for split, part in zip(planned, told):
        if split.input != input_now:
            input_now, before = split.input, 0
        yield part, None if split.knows_its_line else before
        before += part.lines
