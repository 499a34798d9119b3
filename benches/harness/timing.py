"""Rounds of timed runs, and the medians of what they say.

Native rows run in pairs, one right beside the other, and a ratio compares the two: a machine that
slows down for a minute slows both. The Python stacks, too slow for pairs, take turns within a round.
"""

import filecmp
import statistics
import sys
from typing import NamedTuple

from .data import expect_lines
from .run import run


class Spread(NamedTuple):
    """The median of several numbers, with the smallest and the largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers):
        numbers = list(numbers)
        return cls(statistics.median(numbers), min(numbers), max(numbers))

    def __str__(self):
        digits = 2 if self.median < 10 else 1 if self.median < 100 else 0
        low, median, high = (f"{number:,.{digits}f}" for number in (self.low, self.median, self.high))
        return f"{median} ({low}–{high})"


class Native(NamedTuple):
    rows: dict
    memory_bytes: dict  # by row
    seconds: dict  # by row: of all its runs
    ratios: dict  # by pair: the rate of the first is so many times that of the second


def measure_native(rows, pairs, rounds):
    memory = {name: run(row, watch=True).memory_bytes for name, row in rows.items()}
    check(rows.values())
    seconds = {name: [] for name in rows}
    ratios = {pair: [] for pair in pairs}
    for index in range(rounds):
        for pair in pairs:
            times = in_turns([rows[name] for name in pair], index)
            rates = [rows[name].records_all / time for name, time in zip(pair, times)]
            ratios[pair].append(rates[0] / rates[1])
            for name, time in zip(pair, times):
                seconds[name].append(time)
    ratios = {pair: Spread.of(found) for pair, found in ratios.items()}
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    return Native(rows, memory, medians, ratios)


def in_turns(rows, index):
    """The seconds of each row, run one right after the other, in the reverse order every other time."""
    step = -1 if index % 2 else 1
    return [run(row, drop=True).seconds for row in rows[::step]][::step]


def check(rows):
    """Each output has its lines, and answers that must be the same are, byte for byte."""
    first = {}
    for one in (one for row in rows for one in row.all):
        if one.output:
            expect_lines(one.output, one.lines)
        if one.answers:
            right = first.setdefault(one.answers, one.output)
            if not filecmp.cmp(right, one.output, shallow=False):
                sys.exit(f"{right} and {one.output} differ")


def start_seconds(row, count):
    run(row)
    return statistics.median(run(row).seconds for _ in range(count))
