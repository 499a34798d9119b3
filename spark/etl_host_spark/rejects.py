"""The rejects of all parts as the one file that a run on a single machine would have left, byte for byte.

A range does not know on which line of the file it begins, so its rejects say `range_line`, from 1. Who has
all parts can add up the lines before: a number is put in, and nothing else of a reject is touched. A line
in which that number can't be found is an error and never passed on as it is.
"""

import re
from collections.abc import Iterable, Iterator

# What stands before it holds texts and numbers only, so no record can look like it.
_RANGE_LINE = re.compile(rb'\A(\{(?:"[a-z_]+":(?:"(?:[^"\\]|\\.)*"|\d+|null),)*?)"range_line":(\d+)')


def on_lines_of_the_file(rejects: Iterable[bytes], lines_before: int) -> Iterator[bytes]:
    """The lines of a part's rejects, with lines of the file in the place of those of the range."""
    for reject in rejects:
        told = _RANGE_LINE.match(reject)
        if told is None:
            raise ValueError(f"a reject of a range tells no line: {reject[:200]!r}")
        yield told[1] + b'"line":%d' % (lines_before + int(told[2])) + reject[told.end():]
