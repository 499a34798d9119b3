"""A partition's way through a host, without Spark: each row is answered once and in its place, whatever is
rejected, wherever batches end, and however little a pipe holds."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import RELEASE
from hypothesis import given, settings
from hypothesis import strategies as st

from etl_host_spark.columns import ARROW, told
from etl_host_spark.stream import REJECT, REJECT_PARTS, REJECT_TYPE, Rows, answered

KEPT = [pa.field("p0", pa.int64())]
WITH_REJECTS = [*KEPT, pa.field(REJECT, REJECT_TYPE)]
NUMBERS = pa.schema([("n", pa.float64())])


@settings(deadline=None)  # the first call loads what Arrow needs
@given(st.lists(st.booleans(), max_size=60), st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=30))
def test_answers_are_in_the_order_of_the_rows(are_rejected: list[bool], turns: list[tuple[int, int]]) -> None:
    """Rejects come before the predictions of later rows, if not always as late as they might."""
    for fields in (KEPT, WITH_REJECTS):
        rows, got = Rows(fields), []
        rejects = [n for n, is_rejected in enumerate(are_rejected) if is_rejected]
        good = [n for n, is_rejected in enumerate(are_rejected) if not is_rejected]
        for count, ahead in [*turns, (len(good), len(rejects))]:
            now, good = good[:count], good[count:]
            due = sum(row < now[-1] for row in rejects) if now else 0
            early, rejects = rejects[:due + ahead], rejects[due + ahead:]
            lines = [json.dumps({"line": row + 1, "message": str(row)}).encode() for row in early]
            batch = pa.RecordBatch.from_arrays([pa.array(now, pa.int64())], ["n"]) if now else None
            answer = rows.answer(batch, lines)
            got += [] if answer is None else answer.to_pylist()
        assert rows.answered == len(are_rejected)
        if fields is KEPT:
            assert got == [None if bad else {"p0": n} for n, bad in enumerate(are_rejected)]
        else:
            assert [(row["p0"], row[REJECT] and row[REJECT][REJECT_PARTS.index("message")]) for row in got] == [
                (None, str(n)) if bad else (n, None) for n, bad in enumerate(are_rejected)]


@pytest.mark.parametrize("rejected", [[1, 1], [0]])
def test_a_row_that_is_answered_twice_is_an_error(rejected: list[int]) -> None:
    rows = Rows(WITH_REJECTS)
    rows.answer(pa.RecordBatch.from_arrays([pa.array([0])], ["n"]), [])
    with pytest.raises(RuntimeError, match=f"rejected row {rejected[-1] + 1} of the partition, and has answered it"):
        rows.answer(None, [json.dumps({"line": row + 1}).encode() for row in rejected])


def of_model(binary: str, model: str, batches: Iterator[pa.RecordBatch], given: pa.Schema,
             keep: Callable[[bytes], object]) -> Iterator[pa.StructArray]:
    """What a host answers to these batches, with rejects."""
    command = [binary, "--plugin", str(RELEASE / "libmisbehaving.so"), "--model", model]
    rows = Rows([pa.field("p0", pa.float64()), pa.field(REJECT, REJECT_TYPE)])
    return answered([*command, *ARROW], batches, told(command, given).written, rows, keep)


def through(binary: str, acts: list[str], text: str = "no") -> list[tuple[float | None, str | None]]:
    """What a host that does this to the rows has to say of each: its prediction, or the record it rejects."""
    table = pa.table({"n": pa.array(range(len(acts)), pa.float64()), "act": acts,
                      "text": [text if act == "refuse" else "" for act in acts]})
    lines: list[bytes] = []
    answers = of_model(binary, "acts", iter(table.to_batches(1000)), table.schema, lines.append)
    rows = [row for answer in answers for row in answer.to_pylist()]
    found = [(row["p0"], row[REJECT] and row[REJECT][REJECT_PARTS.index("record")]) for row in rows]
    assert [json.loads(line)["record"] for line in lines] == [record for _, record in found if record is not None]
    return found


def expected(acts: list[str], text: str = "no") -> list[tuple[float | None, str | None]]:
    refused = f',"act":"refuse","text":"{text}"}}'
    return [(None, f'{{"n":{n}.0{refused}') if act == "refuse" else (n, None) for n, act in enumerate(acts)]


@pytest.mark.parametrize("is_bad", [
    lambda n: False,
    lambda n: True,  # so that nothing is predicted, and the pipe is full many times
    lambda n: n % 1000 < 999,
    lambda n: n < 15_000,
    lambda n: n >= 15_000,
    lambda n: n % 7 == 0,
], ids=["none", "all", "nearly_all", "first", "last", "some"])
def test_every_row_is_answered_in_its_place(binary: str, is_bad: Callable[[int], bool]) -> None:
    acts = ["refuse" if is_bad(n) else "behave" for n in range(20_000)]
    assert through(binary, acts) == expected(acts)


def test_a_reject_may_be_longer_than_a_pipe(binary: str) -> None:
    text = "é" * 2_000_000
    acts = ["behave", "refuse", "behave", "refuse"]
    assert through(binary, acts, text) == expected(acts, text)


def test_a_host_that_leaves_rows_out_is_found_out(binary: str, tmp_path: Path) -> None:
    """As one would that filters."""
    liar = tmp_path / "etl-host"
    liar.write_text(f'#!/bin/bash\nexec {binary} "${{@/#\\/dev\\/fd\\/*/\\/dev\\/null}}"\n')
    liar.chmod(0o755)
    with pytest.raises(RuntimeError, match="etl-host was given 3 rows, and answered 2"):
        through(str(liar), ["behave", "refuse", "behave"])


def test_answers_do_not_wait_for_more_rows(binary: str) -> None:
    has_come = threading.Event()

    def batches() -> Iterator[pa.RecordBatch]:
        for n in range(3):
            yield pa.RecordBatch.from_pydict({"n": [float(n)]})
            assert has_come.wait(60), "nobody got an answer"
            has_come.clear()

    for _ in of_model(binary, "number", batches(), NUMBERS, print):
        has_come.set()


def test_an_error_of_who_makes_the_rows_is_raised(binary: str) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({"n": [1.0]})
        raise ValueError("no more rows to be had")

    with pytest.raises(ValueError, match="no more rows to be had"):
        list(of_model(binary, "number", batches(), NUMBERS, print))


def test_no_rows_start_no_host() -> None:
    def none() -> Iterator[pa.RecordBatch]:
        yield from ()

    assert list(answered(["/no/such/host"], none(), pa.schema([]), Rows(KEPT), print)) == []
