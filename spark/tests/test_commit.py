"""The commit without Spark: attempts that die anywhere, two at once, late ones, drivers that die before,
in and behind the commit, two jobs on one output. Of two at once every order of the first steps is tried, and of
the rest many by chance."""

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from turns import Actor, Died, take_turns

from etl_host_spark.commit import (CommitRefused, File, Job, OutputExists, Part, UnfinishedCommit, abandon, begin,
                                   commit, finish, is_begun)

SPLITS = 2
WHOLE = {"_SUCCESS": b"", "_rejects.ldjson": b"all rejects", "part-00000.ldjson": b"split 0",
         "part-00001.ldjson": b"split 1"}


def attempt(job: Job, split: int, name: str, disk: Actor) -> Part:
    """What a task does, the host's work included."""
    mine = job.attempt(split, name, disk)
    disk.write(mine.path("output"), b"split %d" % split)
    disk.write(mine.path("rejects.ldjson"), b"some")
    output = mine.file("output")
    assert output
    return Part(split, name, output, mine.file("rejects.ldjson"))


def publish(job: Job, parts: list[Part], disk: Actor) -> None:
    """What a driver does when Spark has given it the parts."""
    disk.write(os.path.join(job.folder, "rejects.ldjson"), b"all rejects")
    commit(job, SPLITS, parts, ".ldjson", {"_rejects.ldjson": File("rejects.ldjson", len(b"all rejects"))}, disk)


def job_with_parts(output: str, name: str = "0") -> tuple[Job, list[Part]]:
    job = begin(output, Actor())
    return job, [attempt(job, split, name, Actor()) for split in range(SPLITS)]


def visible(output: str) -> dict[str, bytes]:
    files = [path for path in sorted(Path(output).glob("*")) if path.is_file() and path.name != "_manifest.json"]
    return {path.name: path.read_bytes() for path in files}


def check_whole(output: str) -> None:
    assert visible(output) == WHOLE
    moves = json.loads(Path(output, "_manifest.json").read_bytes())["moves"]
    assert len({source for source, _, _ in moves}) == len(moves) == SPLITS + 1


def folders(tmp_path: Path) -> Iterator[str]:
    return (str(tmp_path / str(number)) for number in itertools.count())


@pytest.mark.parametrize("manifest", [
    b"", b"[]", b'{"job":"x"}', b'{"job":"../../precious","moves":[]}',
    b'{"job":"JOB","moves":[["../../../precious","part-00000.ldjson",1]]}',
    b'{"job":"JOB","moves":[["output","../part-00000.ldjson",1]]}',
])
def test_a_manifest_that_leads_out_of_the_folder_or_is_none_is_refused(tmp_path: Path, manifest: bytes) -> None:
    (tmp_path / "precious").mkdir()
    output = tmp_path / "out"
    job = begin(str(output))
    (output / "_manifest.json").write_bytes(manifest.replace(b"JOB", job.name.encode()))
    with pytest.raises(CommitRefused, match="_manifest.json is damaged, or no manifest of this package"):
        finish(str(output))
    assert (tmp_path / "precious").is_dir() and Path(job.folder).is_dir()


def recover(output: str) -> None:
    """What somebody does who finds a job's driver dead, in the words of the errors."""
    try:
        job, parts = job_with_parts(output)
        publish(job, parts, Actor())
    except (UnfinishedCommit, OutputExists):
        finish(output, Actor())


def test_a_driver_that_dies_anywhere_leaves_nothing_or_a_commit_that_can_be_finished(tmp_path: Path) -> None:
    for dies, output in enumerate(folders(tmp_path)):
        job, parts = job_with_parts(output)
        driver = Actor(dies)
        try:
            publish(job, parts, driver)
        except Died:
            begun = Path(output, "_manifest.json").exists()
            assert begun or visible(output) == {}
            assert "_SUCCESS" not in visible(output) or visible(output) == WHOLE
            recover(output)
            check_whole(output)
        else:
            assert dies > 15, "it did as many operations"
            check_whole(output)
            assert not Path(output, "_temporary").exists()
            return


def test_who_finishes_may_die_anywhere_too(tmp_path: Path) -> None:
    outputs = folders(tmp_path)
    tried = 0
    for dies, again in itertools.product(range(30), range(30)):
        output = next(outputs)
        job, parts = job_with_parts(output)
        try:
            publish(job, parts, Actor(dies))
        except Died:
            pass
        if not Path(output, "_manifest.json").exists():
            continue
        try:
            finish(output, Actor(again))
        except Died:
            tried += 1
        recover(output)
        check_whole(output)
    assert tried > 60, tried


def test_an_attempt_that_dies_anywhere_is_never_seen(tmp_path: Path) -> None:
    for dies, output in enumerate(folders(tmp_path)):
        job = begin(output, Actor())
        try:
            first = attempt(job, 0, "0", Actor(dies))
        except Died:
            first = attempt(job, 0, "1", Actor())
        publish(job, [first, attempt(job, 1, "2", Actor())], Actor())
        check_whole(output)
        if first.attempt == "0":
            return


def test_of_two_attempts_at_once_the_one_that_spark_names_counts_in_any_order(tmp_path: Path) -> None:
    outputs = folders(tmp_path)
    for order, winner in itertools.product(itertools.product((0, 1), repeat=7), (0, 1)):
        output = next(outputs)
        job = begin(output, Actor())
        both = {Actor(): (lambda disk, name=name: attempt(job, 0, name, disk)) for name in "ab"}
        take_turns(order, both)
        parts = [disk.result for disk in both]
        assert all(isinstance(part, Part) for part in parts), parts
        publish(job, [parts[winner], attempt(job, 1, "c", Actor())], Actor())
        check_whole(output)


def test_a_late_attempt_changes_nothing_however_it_meets_the_commit(tmp_path: Path) -> None:
    outputs = folders(tmp_path)
    # Before which of the driver's operations does the attempt make its folder, and write its files?
    places = itertools.combinations_with_replacement(range(34), 2)
    ends = set()
    for folder, files in places:
        output = next(outputs)
        job, parts = job_with_parts(output)
        driver, late = Actor(), Actor()
        order = [0] * folder + [1] + [0] * (files - folder) + [1] * 6
        take_turns(order, {driver: lambda disk: publish(job, parts, disk),
                           late: lambda disk: attempt(job, 0, "late", disk)})
        assert driver.result is None
        check_whole(output)
        ends.add(type(late.result))
        finish(output, Actor())
        check_whole(output)
    assert ends == {Part, FileNotFoundError}, "it came in time, and too late"


@settings(max_examples=200, deadline=None)
@given(order=st.lists(st.integers(0, 1), max_size=80), deaths=st.tuples(*[st.none() | st.integers(0, 40)] * 2))
def test_of_two_jobs_on_one_output_one_commits(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], deaths: tuple[int | None, int | None]
) -> None:
    output = str(tmp_path_factory.mktemp("two"))
    jobs = [job_with_parts(output, name) for name in "ab"]
    drivers = [Actor(death) for death in deaths]
    take_turns(order, {driver: (lambda disk, job=job: publish(*job, disk)) for driver, job in zip(drivers, jobs)})
    for driver in drivers:
        assert driver.result is None or isinstance(driver.result, (Died, OutputExists)), driver.result
    began = [is_begun(job) for job, _ in jobs]
    assert sum(began) == Path(output, "_manifest.json").exists()
    for (job, _), begun in zip(jobs, began):
        if not begun:
            abandon(job, Actor())  # as a driver does that was told it came too late
    recover(output)
    check_whole(output)
    attempts = {source[2] for source, _, _ in json.loads(Path(output, "_manifest.json").read_bytes())["moves"]
                if source[1:2] == "-"}
    assert len(attempts) == 1, "the parts are of one job"


@settings(max_examples=150, deadline=None)
@given(order=st.lists(st.integers(0, 1), max_size=60), dies=st.integers(8, 20))
def test_two_may_finish_at_once(tmp_path_factory: pytest.TempPathFactory, order: list[int], dies: int) -> None:
    output = str(tmp_path_factory.mktemp("finish"))
    job, parts = job_with_parts(output)
    try:
        publish(job, parts, Actor(dies))
    except Died:
        pass
    if not Path(output, "_manifest.json").exists():
        return
    both = {Actor(): (lambda disk: finish(output, disk)) for _ in range(2)}
    take_turns(order, both)
    assert [disk.result for disk in both] == [None, None]
    check_whole(output)


@pytest.mark.parametrize("harm, error", [
    (lambda job, parts: parts[:1], CommitRefused),
    (lambda job, parts: [*parts, parts[0]], CommitRefused),
    (lambda job, parts: [parts[0], parts[0]], CommitRefused),
    (lambda job, parts: [parts[0], Part(1, "elsewhere", parts[1].output)], CommitRefused),
    (lambda job, parts: [parts[0], Part(1, "0", File("output", 3))], CommitRefused),
], ids=["one is missing", "one too many", "one twice", "on another disk", "not the bytes that were told"])
def test_parts_that_are_not_of_one_whole_job_are_refused(tmp_path: Path, harm, error) -> None:
    job, parts = job_with_parts(str(tmp_path))
    with pytest.raises(error):
        publish(job, harm(job, parts), Actor())
    assert visible(str(tmp_path)) == {}


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputExists, match="mine.txt"):
        begin(str(tmp_path))


def test_an_abandoned_job_leaves_nothing(tmp_path: Path) -> None:
    job, _ = job_with_parts(str(tmp_path / "out"))
    abandon(job, Actor())
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(CommitRefused, match="no commit was begun"):
        finish(str(tmp_path / "out"))
