"""A cluster of this machine, with executors that are processes of their own, and what is in the way of one.

It listens on loopback alone. `strays` finds hosts that somebody left behind: they bear a mark in their
environment, which everything that a cluster starts inherits.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark
import pytest
from pyspark.sql import SparkSession

MARK = f"ETL_HOST_SPARK_TEST={uuid.uuid4().hex}"


def java_or_fail() -> None:
    """Spark 4 runs on Java 17 or newer; without one it dies with words that nobody understands."""
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else shutil.which("java")
    told = subprocess.run([java, "-version"], capture_output=True, text=True).stderr if java else ""
    version = told.split('"')[1].split(".")[0] if '"' in told else "0"
    if int(version) < 17:
        found = f"Java {version}" if java else "no Java"
        pytest.exit(f"Spark needs a Java 17 runtime (openjdk-17-jre-headless), and here is {found}", returncode=2)


def start(master: str = "local-cluster[2,1,1024]", environment: dict[str, str] | None = None,
          **settings: str) -> SparkSession:
    """Two executors with a core each; `settings` are Spark's, with `_` for `.`. `environment`: what executors
    have besides that of Spark's JVM, which is that of the first cluster that this process started."""
    java_or_fail()
    name, value = MARK.split("=")
    os.environ.update({name: value, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1",
                       "SPARK_HOME": os.path.dirname(pyspark.__file__)})
    builder = SparkSession.builder.master(master).appName("etl-host")
    for key, setting in {
        "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false", "spark.task.maxFailures": "4", "spark.log.level": "OFF",
        **{f"spark.executorEnv.{name}": value for name, value in (environment or {}).items()},
        **{key.replace("_", "."): setting for key, setting in settings.items()},
    }.items():
        builder = builder.config(key, setting)
    return builder.getOrCreate()


@contextmanager
def on_two_hosts(folder: Path) -> Iterator[str]:
    """A master, and two workers on addresses of their own: a second attempt never goes to the host of the
    first, and in a local cluster all executors are on one."""
    java_or_fail()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    master = f"spark://127.0.0.1:{port}"
    name, value = MARK.split("=")

    def begin(address: str, what: str, *flags: str) -> "subprocess.Popen[bytes]":
        spark_class = os.path.join(os.path.dirname(pyspark.__file__), "bin", "spark-class")
        command = [spark_class, f"org.apache.spark.deploy.{what}", "--host", address, "--webui-port", "0", *flags]
        environment = {**os.environ, name: value, "SPARK_LOCAL_IP": address, "PYSPARK_PYTHON": sys.executable}
        with open(folder / f"{address}.log", "wb") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    started = [begin("127.0.0.1", "master.Master", "--port", str(port))]
    started += [begin(address, "worker.Worker", "--cores", "1", "--memory", "1g", "--work-dir",
                      str(folder / address), master) for address in ("127.0.0.2", "127.0.0.3")]
    try:
        wait_until(lambda: sum("Successfully registered" in (folder / f"127.0.0.{last}.log").read_text()
                               for last in (2, 3)) == 2, 120)
        yield master
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def _processes(wanted: Callable[[list[bytes]], bool]) -> list[int]:
    """Processes of this run's clusters with such a command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if wanted(command) and MARK.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            pass  # it ended, or is not ours
    return found


def hosts() -> list[int]:
    return _processes(lambda command: os.path.basename(command[0]) == b"etl-host")


def executors() -> list[int]:
    return _processes(lambda command: any(b"CoarseGrainedExecutorBackend" in part for part in command[:200])
                      and command[0].endswith(b"java") and b"--executor-id" in command)


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    """Looks again and again, as nothing tells of the end of another's process."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, f"in {seconds} s it did not come true"
        time.sleep(0.02)


def no_strays() -> None:
    """Spark kills a cancelled task's worker after some seconds; then all must be gone."""
    wait_until(lambda: not hosts(), 30)
