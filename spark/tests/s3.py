"""A server of objects on this machine, SeaweedFS, for as long as the tests run, and what lies in it."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

BUCKET = "flowers"
KEY, SECRET = "some-access-key", "hush-do-not-tell-anybody"


@dataclass
class Server:
    """What is asked for by key; `environment` is that of whoever may ask."""

    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}

    def _files(self) -> fs.S3FileSystem:
        return fs.S3FileSystem(access_key=KEY, secret_key=SECRET, region="us-east-1", scheme="http",
                               endpoint_override=f"127.0.0.1:{self.port}")

    def put(self, key: str, content: bytes) -> None:
        with self._files().open_output_stream(f"{BUCKET}/{key}") as stream:
            stream.write(content)

    def get(self, key: str) -> bytes:
        with self._files().open_input_stream(f"{BUCKET}/{key}") as stream:
            return bytes(stream.read())

    def remove(self, key: str) -> None:
        self._files().delete_file(f"{BUCKET}/{key}")

    def names(self, folder: str) -> list[str]:
        """All objects in it, those in folders in it too."""
        selector = fs.FileSelector(f"{BUCKET}/{folder}", recursive=True, allow_not_found=True)
        found = self._files().get_file_info(selector)
        return sorted(info.path.removeprefix(f"{BUCKET}/{folder}/") for info in found if info.is_file)


def _ports(count: int) -> list[int]:
    """Free ones below 30000: the server adds 10000 to each for a second one."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe, socket.socket() as second:
            taken = not probe.connect_ex(("127.0.0.1", port)) or not second.connect_ex(("127.0.0.1", port + 10000))
            if port not in found and not taken:
                found.append(port)
    return found


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Starts one that has the bucket, in an empty folder."""
    weed = Path(sys.executable).parent / "weed"
    master, volume, filer, s3 = _ports(4)
    may = ["Admin", "Read", "Write", "List"]
    identity = {"name": "test", "actions": may, "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            [weed, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3",
             f"-s3.port={s3}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
             f"-s3.config={folder / 's3.json'}", "-master.telemetry=false", "-volume.max=20",
             "-master.volumeSizeLimitMB=64"], stdout=log, stderr=log)
    try:
        _wait_for(s3, folder / "log")
        subprocess.run([weed, "shell", f"-master=127.0.0.1:{master}", f"-filer=127.0.0.1:{filer}"],
                       input=f"s3.bucket.create -name {BUCKET}\n".encode(), check=True, capture_output=True, timeout=60)
        yield Server(s3)
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int, log: Path) -> None:
    ends = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        assert time.monotonic() < ends, log.read_text(errors="replace")[-4000:]
        time.sleep(0.05)


@contextmanager
def allowed(server: Server) -> Iterator[None]:
    """In this process, and what it starts, anybody may ask the server."""
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
