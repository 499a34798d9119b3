#!/usr/bin/env python3
"""What it costs that data lies in a store: the host with a light model, against a plain copy of the
same object with the same library, both through SeaweedFS on this machine. Prints, for each round, the
seconds of both, their ratio, and the host's largest memory."""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
WEED = ROOT / "target" / "s3-venv" / "bin" / "weed"
FLOWER = '{"sepal_length": 6.3, "sepal_width": 3.3, "petal_length": 6.0, "petal_width": 2.5}\n'


def ports(count):
    """Free ones below 30000: the server adds 10000 to each for a second one."""
    found = []
    while len(found) < count:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)):
                found.append(port)
    return found


def wait_for(port):
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"nothing answers on port {port}")


def timed(command, environment):
    """Seconds, and the largest memory of the process in KiB."""
    began = time.monotonic()
    child = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command} failed")
    return time.monotonic() - began, usage.ru_maxrss


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT / "target") as folder:
        measure(flags, Path(folder))


def measure(flags, folder):
    master, volume, filer, s3 = ports(4)
    identity = {"identities": [{"name": "bench", "actions": ["Admin", "Read", "Write", "List"],
                "credentials": [{"accessKey": "bench", "secretKey": "bench-secret"}]}]}
    (folder / "s3.json").write_text(json.dumps(identity))
    (folder / "data").mkdir()
    source = folder / "in.json"
    with source.open("w") as file:
        for _ in range(flags.bytes // (len(FLOWER) * 1000)):
            file.write(FLOWER * 1000)
    server = subprocess.Popen(
        [WEED, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer",
         "-s3", f"-s3.port={s3}", f"-master.port={master}", f"-volume.port={volume}",
         f"-filer.port={filer}", f"-s3.config={folder / 's3.json'}", "-master.telemetry=false",
         "-volume.max=40", "-master.volumeSizeLimitMB=256"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(s3)
        subprocess.run([WEED, "shell", f"-master=127.0.0.1:{master}", f"-filer=127.0.0.1:{filer}"],
                       input="s3.bucket.create -name bench\n", text=True, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        environment = dict(os.environ, AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench-secret",
                           AWS_ENDPOINT_URL=f"http://127.0.0.1:{s3}", AWS_REGION="us-east-1")
        copy = RELEASE / "copy_object"
        timed([copy, "--file", "bench", source, "in.json"], environment)
        host = [RELEASE / "etl-host", "--quiet", "--plugin", RELEASE / "liblinear_model.so",
                "--input", "s3://bench/in.json", "--output", "s3://bench/out.json", "--emit"]
        for number in range(flags.rounds):
            plain, _ = timed([copy, "bench", "in.json", "copy.json"], environment)
            print(f"round {number + 1}: {flags.bytes / 1e6:.0f} MB, copied in {plain:.2f} s", end="")
            # What merge writes is a third more than is read; a copy writes as much as it reads.
            for emit in ("prediction", "merge"):
                ours, memory = timed([*host, emit], environment)
                print(f"; {emit} in {ours:.2f} s, ratio {plain / ours:.2f}, {memory / 1024:.0f} MiB",
                      end="", flush=True)
            print(flush=True)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
