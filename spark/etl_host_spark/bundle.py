"""What travels to the executors: binary, plugin and the files beside it, and the services, as one archive of
Spark's. The services lie apart: what is beside a plugin, it may read.

The archive's name holds a digest of its content. Spark never sends a name twice, so that a plugin that was
rebuilt in place would go on being the old one on every executor; here it is another name. This package
itself travels the same way (`addPyFile`), so nothing need be installed on the nodes.

Refused: a session of Spark Connect, which has no such distribution. With `ship=False` a DataFrame can be
scored there, if binary, plugin and this package are on the nodes.
"""

import atexit
import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyspark import SparkContext, SparkFiles
from pyspark.sql import SparkSession
from pyspark.sql.utils import is_remote

from .host import Refused

_sent: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Tools:
    """Where a task finds binary and plugin: in an archive of this name, or at these paths as they are."""

    archive: str | None
    binary: str
    plugin: str
    services: str | None = None

    def _path(self, path: str) -> str:
        return path if self.archive is None else os.path.join(SparkFiles.get(self.archive), path)

    def found(self) -> tuple[str, str]:
        """Binary and plugin on the machine where this is called, which must be an executor's."""
        binary = self._path(self.binary)
        if self.archive and not os.access(binary, os.X_OK):  # Spark unpacks without permissions
            os.chmod(binary, 0o755)
        return binary, self._path(self.plugin)

    def options(self) -> list[str]:
        """Where the services are, there too."""
        return ["--services", self._path(self.services)] if self.services else []


def found_here(binary: str) -> str:
    """The binary on the driver; a bare name is looked for in PATH."""
    found = shutil.which(binary)
    if found is None:
        raise Refused(f"no program {binary} here: give the path of etl-host as `binary`")
    return os.path.abspath(found)


def send(spark: SparkSession, binary: str, plugin: str, files: Sequence[str], ship: bool,
         services: str | None = None) -> Tools:
    """Has the executors get all that a task needs. `files` (or folders) come to lie beside the plugin."""
    if not ship:
        if not is_remote():
            _send_once(spark, *_package(), SparkContext.addPyFile)
        return Tools(None, binary, plugin, services)
    _send_once(spark, *_package(), SparkContext.addPyFile)
    members = {"bin/etl-host": found_here(binary), **_beside(plugin, files)}
    if services:
        members.update(_members("services", services))
    name = f"etl-host-{_digest(members)}.tar"
    _send_once(spark, name, lambda path: _make_archive(path, members), SparkContext.addArchive)
    return Tools(name, "bin/etl-host", f"plugin/{os.path.basename(plugin)}",
                 f"services/{os.path.basename(services)}" if services else None)


@contextmanager
def laid_out(plugin: str, files: Sequence[str]) -> Iterator[str]:
    """The plugin's path on the driver, where it lies as it will on the nodes: beside these files."""
    if not files:
        yield plugin
        return
    with tempfile.TemporaryDirectory(prefix="etl-host-") as folder:
        for member, source in _beside(plugin, files).items():
            path = os.path.join(folder, member)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                os.link(os.path.realpath(source), path)  # no symbolic one: a sandbox would end at it
            except OSError:
                shutil.copyfile(source, path)
        yield os.path.join(folder, "plugin", os.path.basename(plugin))


def _beside(plugin: str, files: Sequence[str]) -> dict[str, str]:
    """The plugin and what lies beside it: the path in the archive of each, and its own."""
    members: dict[str, str] = {}
    for path in (plugin, *files):
        found = _members("plugin", path)
        for member in (member for member in found if members.get(member, found[member]) != found[member]):
            raise Refused(f"{members[member]} and {found[member]} would lie at the same place beside the plugin")
        members.update(found)
    return members


def _send_once(spark: SparkSession, name: str, make: Callable[[str], None],
               add: Callable[[SparkContext, str], None]) -> None:
    """Spark refuses a name that it knows from another folder, so each is made once for an application. It
    serves a file from where it lies, for as long as the application runs."""
    context = context_of(spark)
    if (context.applicationId, name) in _sent:
        return
    folder = tempfile.mkdtemp(prefix="etl-host-spark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, name)
    make(path)
    add(context, path)
    _sent.add((context.applicationId, name))


def context_of(spark: SparkSession) -> SparkContext:
    """The session's context, which one of Spark Connect has not."""
    try:
        return spark.sparkContext
    except Exception as error:
        raise Refused("a session of Spark Connect can send no files: use one on the driver") from error


def _members(folder: str, path: str) -> dict[str, str]:
    name = f"{folder}/{os.path.basename(os.path.abspath(path))}"
    if os.path.isdir(path):
        found: dict[str, str] = {}
        for entry in sorted(os.listdir(path)):
            found.update(_members(name, os.path.join(path, entry)))
        return found
    if not os.path.isfile(path):
        raise Refused(f"no file {path} here: `ship=False` takes paths of the nodes")
    return {name: path}


def _digest(members: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for name, path in sorted(members.items()):
        digest.update(f"{name}\0{os.path.getsize(path)}\0".encode())
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def _make_archive(path: str, members: dict[str, str]) -> None:
    with tarfile.open(path, "w", dereference=True) as archive:
        for member, source in members.items():
            archive.add(source, member)


def _package() -> tuple[str, Callable[[str], None]]:
    """This package's name as an archive, and how it is made."""
    here = Path(__file__).parent
    sources = sorted(here.glob("*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]

    def make(path: str) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for source in sources:
                archive.write(source, f"{here.name}/{source.name}")

    return f"{here.name}-{digest}.zip", make
