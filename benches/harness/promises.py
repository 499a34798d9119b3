"""What etl-host promises of its speed and memory, each beside what was measured."""

from typing import NamedTuple

from . import MB, rows, stacks


class Promise(NamedTuple):
    what: str
    bound: str
    measured: str = "not measured"
    met: bool | None = None

    def line(self):
        verdict = {None: "", True: "yes", False: "**no**"}[self.met]
        return f"| {self.what} | {self.bound} | {self.measured} | {verdict} |"


def promises(native, python, memory):
    """`python`: the stacks by name, or None; `memory`: peak bytes by the size of the input."""
    more_time = "more time than the prediction alone"
    return [
        at_least(native, 0.9, (rows.HOST, rows.STATIC), "one core, times the static baseline, with serde_json"),
        at_least(native, 1.5, (rows.HOST, rows.PLAIN), "one core, times the static baseline, plain sum"),
        at_least(native, 0.8, (rows.HOST_ALL, rows.EACH), "all cores, times a static baseline on each core"),
        than_best_stack(python, 10),
        than_original(python, 1000),
        at_least(native, 0.7, (rows.HOST_LINEAR, rows.PARSE), "light model, one core, times parsing alone with serde_json"),
        costs_at_most(native, 60, (rows.NEST, rows.HOST), f"`--emit nest`, {more_time}"),
        costs_at_most(native, 60, (rows.MERGE, rows.HOST), f"`--emit merge`, {more_time}"),
        costs_at_most(native, 10, (rows.BAD, rows.HOST), "1 % bad records, more time than none"),
        costs_at_most(native, 5, (rows.JOURNAL, rows.HOST_ALL), "a journal, a checkpoint each 0.1 s, all cores, more time than none"),
        at_least(native, 0.9, (rows.ISOLATED, rows.HOST_ALL), "the model in workers, all cores, times the host's own process"),
        *(memory_below(64, size, peak) for size, peak in memory.items()),
    ]


def at_least(native, bound, pair, what):
    ratio = native.ratios[pair]
    return Promise(what, f"≥ {bound}", f"{ratio}", ratio.median >= bound)


def costs_at_most(native, bound, pair, what):
    ratio = native.ratios[pair]
    median, low, high = (100 * (1 / rate - 1) for rate in (ratio.median, ratio.high, ratio.low))
    return Promise(what, f"≤ {bound} %", f"{median:.0f} % ({low:.0f}–{high:.0f})", median <= bound)


def than_best_stack(python, bound):
    what = "all cores, times the best Python stack, start taken off"
    if not python:
        return Promise(what, f"≥ {bound}")
    others = [stack for name, stack in python.items() if name not in stacks.OURS]
    best = min(others, key=lambda stack: stack.times_slower.median)
    ratio = best.times_slower
    return Promise(what, f"≥ {bound}", f"{ratio}: {best.row.name}", ratio.median >= bound)


def than_original(python, bound):
    what = "all cores, times the original's graph, start taken off"
    if not python:
        return Promise(what, f"≥ {bound:,}")
    ratio = python[stacks.ORIGINAL].times_slower
    return Promise(what, f"≥ {bound:,}", f"{ratio}", ratio.median >= bound)


def memory_below(bound_mib, size, peak):
    what = f"peak memory for {size / MB:,.0f} MB through a pipe, 2 threads"
    return Promise(what, f"< {bound_mib} MiB", f"{peak / 2**20:.1f} MiB", peak < bound_mib * 2**20)
