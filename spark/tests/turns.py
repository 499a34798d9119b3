"""Attempts and drivers that take turns between operations on a disk, in an order that a test chooses, and
die before any of them: so that a test can try every order, and not those that happen to come up.

A process that dies is meant, not a machine that loses its power: what was done is there.
"""

import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from etl_host_spark.disk import Disk


class Died(BaseException):
    """No handler of errors runs in a process that was killed; nothing may catch this by mistake."""


class Actor(Disk):
    """A disk as one process sees it. Before each operation it waits for its turn, or dies."""

    def __init__(self, dies_before: int | None = None) -> None:
        self.done = 0
        self.result: object = None
        self._dies_before = dies_before
        self._go: queue.Queue[None] = queue.Queue()
        self._tell: Callable[[], None] | None = None

    def _turn(self) -> None:
        if self._tell:
            self._tell()
            self._go.get()
        if self.done == self._dies_before:
            raise Died
        self.done += 1

    def remove_folder(self, path: str) -> None:
        for file in sorted(Path(path).rglob("*"), reverse=True):
            self._turn()
            if file.is_file():
                file.unlink(missing_ok=True)  # another may remove it too
        super().remove_folder(path)

    def write(self, path: str, text: bytes) -> None:
        """Half of it may be all that is ever written."""
        self._turn()
        with open(path, "xb") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            self._turn()
            file.write(text[len(text) // 2 :])


def _in_turn(name: str) -> Callable[..., object]:
    def operation(self: Actor, *arguments: object) -> object:
        self._turn()
        return getattr(Disk, name)(self, *arguments)

    return operation


for _name in ("exists", "size", "names", "read", "make_folders", "make_folder", "link", "rename", "flush_folder",
              "remove_empty"):
    setattr(Actor, _name, _in_turn(_name))


def take_turns(order: Iterable[int], actors: dict[Actor, Callable[[Actor], object]]) -> None:
    """Runs all of them to their end or death. Who is next: the number in `order`, of those that still run;
    behind its end the first. A result, or the error that ended it, stands in `result`."""
    events: queue.Queue[tuple[Actor, bool]] = queue.Queue()

    def live(actor: Actor, life: Callable[[Actor], object]) -> None:
        try:
            actor.result = life(actor)
        except BaseException as error:
            actor.result = error
        events.put((actor, False))

    for actor, life in actors.items():
        actor._tell = lambda actor=actor: events.put((actor, True))
        threading.Thread(target=live, args=(actor, life), daemon=True).start()
    names, waiting, running = list(actors), [], len(actors)
    numbers = iter(order)
    while True:
        while running:
            actor, waits = events.get(timeout=60)
            running -= 1
            if waits:
                waiting.append(actor)
        if not waiting:
            break
        waiting.sort(key=names.index)
        chosen = waiting.pop(next(numbers, 0) % len(waiting))
        running = 1
        chosen._go.put(None)
    for actor in actors:
        actor._tell = None
