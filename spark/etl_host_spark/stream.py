"""A partition's way through a host: batches in, and for each row, in its order, what the host has to say of it.

Predictions come as a stream, which lacks the rows that were rejected; rejects come through a pipe beside it, and
tell their rows. The host writes the rejects of a batch before its predictions. So whoever finds predictions
finds all rejects of earlier rows in that pipe, without waiting, and no row need bear a number.
"""

import io
import json
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import numpy as np
import pyarrow as pa

from .host import Host, start

REJECT = "_reject"  # the column of rejects
REJECT_PARTS = ("step", "kind", "message", "path", "record")
REJECT_TYPE = pa.list_(pa.string())  # of these parts: Spark takes nulls of structs apart one by one
_PIPE_BYTES_MAX = 1 << 20  # the most that a pipe holds, unless root has made it larger


def answered(command: Sequence[str], batches: Iterator[Any], declared: pa.Schema, rows: "Rows",
             keep: Callable[[bytes], object]) -> Iterator[Any]:
    """What `rows` makes of the answers to these batches, in all as many rows. `declared`: the columns that the
    host must write. `keep` gets its lines of rejects.

    Raises what `batches` raises, and `HostFailed`.
    """
    first = next(batches, None)
    if first is None:
        return
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with open(ours, "rb", buffering=0) as rejects, open(theirs, "wb", buffering=0) as end_of_host:
        aside = ["--rejects", f"/dev/fd/{theirs}"]  # no name in a folder, that a task which is killed would leave
        with start([*command, *aside], pipes=True, pass_fds=[theirs]) as host:
            end_of_host.close()
            feeder = _Feeder(host, first, batches)
            for predicted, rejected in _answers(host, feeder, rejects, declared):
                for line in rejected:
                    keep(line)
                answers = rows.answer(predicted, rejected)
                if answers is not None:
                    yield answers
            if rows.answered != feeder.rows:
                raise RuntimeError(f"etl-host was given {feeder.rows} rows, and answered {rows.answered}")


class _Feeder(threading.Thread):
    """Writes batches to the host while its answers are read: with one thread, both could wait for ever."""

    def __init__(self, host: Host, first: Any, rest: Iterator[Any]) -> None:
        super().__init__(daemon=True)
        self.trouble: BaseException | None = None
        self.rows = 0
        self._host, self._first, self._rest = host, first, rest
        self.start()

    def run(self) -> None:
        try:
            with self._host.stdin as pipe, pa.ipc.new_stream(pipe, self._first.schema) as stream:
                self._write(stream, self._first)
                for batch in self._rest:
                    self._write(stream, batch)
        except BrokenPipeError:
            pass  # the host ended early, and says why
        except BaseException as trouble:  # of whoever makes the batches: the task must fail with it
            self.trouble = trouble
            self._host.process.kill()

    def _write(self, stream: Any, batch: Any) -> None:
        stream.write_batch(batch)
        self._host.stdin.flush()  # else its end would wait for the next one
        self.rows += batch.num_rows


def _answers(host: Host, feeder: _Feeder, rejects: IO[bytes],
             declared: pa.Schema) -> Iterator[tuple[Any, list[bytes]]]:
    """The next predictions, if there are some, and the rejects before them, a line each. A stream that ends well
    proves nothing: the host's exit code is asked for always."""
    # Reads nothing ahead, since `poll` would not know of that.
    stdout = io.BufferedReader(host.stdout.raw, 1)  # type: ignore[attr-defined]
    ready = select.poll()
    ready.register(stdout, select.POLLIN)
    ready.register(rejects, select.POLLIN)
    stream = None
    has_ended = False
    begun: list[bytes] = []
    try:
        while not has_ended:
            has_more = stdout.fileno() in dict(ready.poll())
            *lines, rest = (rejects.read(_PIPE_BYTES_MAX) or b"").split(b"\n")
            if lines:  # else a piece of one that is longer than a pipe
                lines[0] = b"".join([*begun, lines[0]])
                begun.clear()
            if rest:
                begun.append(rest)
            predicted = None
            if has_more and stream is None:
                stream = _opened(stdout, declared)
            elif has_more:
                predicted = next(stream, None)
                has_ended = predicted is None
            yield predicted, lines
    except (pa.ArrowInvalid, OSError):
        host.stdout.close()  # it may still write, and nobody reads
        rejects.close()
        if feeder.trouble is None:
            host.end()  # in nearly all cases it has more to say than that its stream broke off
        if feeder.trouble is None:
            raise
    feeder.join()
    if feeder.trouble is not None:
        raise feeder.trouble
    host.end()


def _opened(stdout: IO[bytes], declared: pa.Schema) -> Any:
    stream = pa.ipc.open_stream(stdout)
    if stream.schema != declared:
        both = f"{_told(stream.schema)} here, and on the driver {_told(declared)}"
        raise RuntimeError(f"etl-host writes the columns {both}: do the nodes have another plugin?")
    return stream


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


class Rows:
    """Answers in the order of their rows, as structs of these `fields`: the columns that the host writes or, where
    they are nested, the fields of the last one (itself, if it has none); behind them, where there is a field for
    it, the parts of the reject. A row that was rejected has null in all others; where there is no such field it is
    null itself.
    """

    def __init__(self, fields: Sequence[pa.Field], is_nested: bool = False) -> None:
        self.answered = 0
        self._fields = list(fields)
        self._is_nested = is_nested
        self._has_reject = fields[-1].name == REJECT
        self._rejected: deque[tuple[int, dict[str, str]]] = deque()

    def answer(self, predicted: Any, rejected: Sequence[bytes]) -> Any:
        """What is known now of the next rows, or None."""
        for reject in map(json.loads, rejected):
            self._rejected.append((reject["line"] - 1, reject))
        begin, end = self.answered, self.answered + (predicted.num_rows if predicted else 0)
        rejects = {}
        while self._rejected and self._rejected[0][0] <= end:  # each moves those behind it
            row, reject = self._rejected.popleft()
            if row < begin or row - begin in rejects:
                raise RuntimeError(f"etl-host rejected row {row + 1} of the partition, and has answered it before")
            rejects[row - begin] = reject
            end += 1
        self.answered = end
        if begin == end:
            return None
        columns = predicted.columns if predicted else [pa.nulls(0, field.type) for field in self._fields]
        if predicted and self._is_nested:
            columns = columns[-1].flatten() if pa.types.is_struct(columns[-1].type) else columns[-1:]
        columns = columns[:len(self._fields) - self._has_reject]
        if not rejects:
            none = [pa.nulls(end - begin, REJECT_TYPE)] if self._has_reject else []
            return pa.StructArray.from_arrays([*columns, *none], fields=self._fields)
        is_rejected = np.zeros(end - begin, bool)
        is_rejected[list(rejects)] = True
        places = pa.array(np.cumsum(~is_rejected) - 1, mask=is_rejected)
        columns = [column.take(places) for column in columns]
        if not self._has_reject:
            return pa.StructArray.from_arrays(columns, fields=self._fields, mask=pa.array(is_rejected))
        told = [[reject.get(part) for part in REJECT_PARTS] for reject in rejects.values()]
        places = pa.array(np.cumsum(is_rejected) - 1, mask=~is_rejected)
        return pa.StructArray.from_arrays([*columns, pa.array(told, REJECT_TYPE).take(places)], fields=self._fields)
