"""What the commit does to a file system, an operation a method: the tests stand in here, fail each of
them in turn and let attempts and drivers take turns between them.
"""

import os
import shutil


class Disk:
    """The file system that driver and executors share."""

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def size(self, path: str) -> int | None:
        """In bytes; nothing where there is no such file."""
        try:
            return os.stat(path).st_size
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(folder))
        except FileNotFoundError:
            return []

    def read(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()

    def make_folders(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)

    def make_folder(self, path: str) -> None:
        """Only this one: fails where its parent is gone."""
        os.mkdir(path)

    def write(self, path: str, text: bytes) -> None:
        """Makes a new file that is on the disk when this returns."""
        with open(path, "xb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def link(self, path: str, name: str) -> None:
        """Gives a file a second name, which nobody may have: `FileExistsError`."""
        os.link(path, name)

    def rename(self, path: str, name: str) -> None:
        os.rename(path, name)

    def flush_folder(self, path: str) -> None:
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove_folder(self, path: str) -> None:
        """With all that is in it, as far as that can be had: what stays harms nobody."""
        shutil.rmtree(path, ignore_errors=True)

    def remove_empty(self, path: str) -> None:
        try:
            os.rmdir(path)
        except OSError:
            pass
