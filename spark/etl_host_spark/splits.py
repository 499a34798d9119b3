"""The plan of a job: which task reads which bytes. The host makes it (`etl-host split`), since it alone
knows where a format can be cut; here it is only checked: each input from its first byte to its last,
without a gap and without a byte twice. A plan that fails this is refused before a task runs.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .host import Refused, ask


@dataclass(frozen=True)
class Split:
    """Bytes of an input, from 0. A `whole` one is an input that can't be cut, read without a range. `line`:
    the first that begins in it, from 1, where the plan knows. `version`: which content the input had then."""

    input: str
    offset: int
    length: int
    whole: bool = False
    line: int | None = None
    version: str | None = None

    @property
    def knows_its_line(self) -> bool:
        return self.whole or self.line is not None

    def options(self) -> list[str]:
        """What tells the host to read this and nothing else."""
        reads = ["--input", self.input]
        place = [self.offset, self.length, *([] if self.line is None else [self.line])]
        return reads if self.whole else [*reads, "--range", ":".join(map(str, place))]


def plan(binary: str, inputs: Sequence[str], size: str, options: Sequence[str]) -> list[Split]:
    """The splits of the inputs, in their order. `size` is a size in the host's words: 128MiB."""
    return read(ask([binary, "split", "--size", size, *options, *inputs]).splitlines())


def read(lines: Iterable[bytes]) -> list[Split]:
    """The splits in what `etl-host split` printed."""
    splits = []
    expected: tuple[str, int] | None = None  # the input that is not yet covered, and up to where it is
    for line in lines:
        told = json.loads(line)
        split = Split(told["input"], told["offset"], told["length"], told.get("whole", False), told.get("line"),
                      told["version"])
        if (split.input, split.offset) != (expected or (split.input, 0)):
            raise Refused(f"the plan is not whole before byte {split.offset} of {split.input}")
        end = split.offset + split.length
        # Of a whole one the length is only what is known of it: nothing may follow in any case.
        expected = None if split.whole or end == told["input_bytes"] else (split.input, end)
        if end > told["input_bytes"]:
            raise Refused(f"the plan goes beyond the end of {split.input}")
        splits.append(split)
    if expected:
        raise Refused(f"the plan ends at byte {expected[1]} of {expected[0]}")
    return splits
