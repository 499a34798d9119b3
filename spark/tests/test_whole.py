"""What a driver refuses to take for the whole: a plan with a gap, parts that are not of one job, and rejects in which
no line can be found."""

import dataclasses
import json

import pytest

from etl_host_spark import CommitRefused, Refused
from etl_host_spark.files import _whole
from etl_host_spark.parts import Told
from etl_host_spark.rejects import on_lines_of_the_file
from etl_host_spark.splits import Split, read

SPLITS = [Split("a", 0, 10, version="1"), Split("a", 10, 5, version="1")]
COUNTS = {"read": 3, "written": 2, "filtered": 0, "blocked": 0, "rejected": 1, "abandoned": 0}
PARTS = [Told(split, "1", {}, 3, COUNTS, "1", "5ca1ab1e", "iris@0.1", 0.5) for split in range(2)]


@pytest.mark.parametrize("change, told", [
    ({"plugin_sha256": "0ddba11"}, "nodes have different plugins: 0ddba11, 5ca1ab1e"),
    ({"model": "iris@0.2"}, "nodes have different models: iris@0.1, iris@0.2"),
    ({"counts": {**COUNTS, "written": 1}}, "the counts don't add up: {'read': 6, 'written': 3"),
    ({"counts": {**COUNTS, "read": 4}}, "the counts don't add up: {'read': 7"),
    ({"input_version": "2"}, "a changed since it was cut into splits: it was 1, and a task read 2"),
    ({"counts": {**COUNTS, "written": 0, "rejected": 3}}, "4 records were rejected, at most 3 may be"),
])
def test_parts_that_are_no_whole_are_refused(change: dict[str, object], told: str) -> None:
    assert _whole(SPLITS, PARTS, 3).counts == {fate: 2 * records for fate, records in COUNTS.items()}
    with pytest.raises(CommitRefused) as refused:
        _whole(SPLITS, [PARTS[0], dataclasses.replace(PARTS[1], **change)], 3)  # type: ignore[arg-type]
    assert str(refused.value).startswith(told)


def line(input: str, offset: int, length: int, input_bytes: int, **more: object) -> bytes:
    return json.dumps({"input": input, "offset": offset, "length": length, "input_bytes": input_bytes,
                       "version": "1", **more}).encode()


@pytest.mark.parametrize("plan, told", [
    ([line("a", 1, 9, 10)], "the plan is not whole before byte 1 of a"),
    ([line("a", 0, 4, 10), line("a", 5, 5, 10)], "the plan is not whole before byte 5 of a"),
    ([line("a", 0, 4, 10), line("a", 3, 7, 10)], "the plan is not whole before byte 3 of a"),
    ([line("a", 0, 4, 10), line("b", 0, 1, 1)], "the plan is not whole before byte 0 of b"),
    ([line("a", 0, 4, 10)], "the plan ends at byte 4 of a"),
    ([line("a", 0, 11, 10)], "the plan goes beyond the end of a"),
])
def test_a_plan_with_a_gap_is_refused(plan: list[bytes], told: str) -> None:
    with pytest.raises(Refused, match=told):
        read(plan)


def test_a_plan_that_covers_its_inputs_is_taken() -> None:
    plan = [line("a", 0, 4, 10), line("a", 4, 6, 10, line=3), line("b", 0, 7, 7, whole=True)]
    assert [split.options() for split in read(plan)] == [
        ["--input", "a", "--range", "0:4"], ["--input", "a", "--range", "4:6:3"], ["--input", "b"]]


@pytest.mark.parametrize("reject, becomes", [
    (b'{"source":"a","range_line":2,"byte":5,"record":"x"}', b'{"source":"a","line":102,"byte":5,"record":"x"}'),
    (rb'{"source":"a\"","range_line":1,"record":"\"range_line\":9"}',
     rb'{"source":"a\"","line":101,"record":"\"range_line\":9"}'),
    (b'{"source":"a","line":2,"record":"x"}', None),
    (rb'{"source":"a","record":"\"range_line\":9"}', None),
    (b"no reject", None),
])
def test_a_reject_gets_its_line_or_is_an_error(reject: bytes, becomes: bytes | None) -> None:
    if becomes is None:
        with pytest.raises(ValueError, match="a reject of a range tells no line"):
            list(on_lines_of_the_file([reject], 100))
    else:
        assert list(on_lines_of_the_file([reject], 100)) == [becomes]
