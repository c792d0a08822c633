"""Toxiproxy, the peer of the fault proxy: built once with Go for the benchmark only, and run beside it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

MODULE = "github.com/Shopify/toxiproxy/v2"
VERSION = "v2.12.0"
BUILD_S, START_S = 600.0, 10.0


def folder() -> Path:
    """Return where it is built: below the folder of all run-time state."""
    return Path(os.environ.get("FULLSPAN_VAR", "var")).resolve() / "toxiproxy" / VERSION


def built(*, build: bool) -> Path | str:
    """Return the program, or why there is none; unless `build` it is only looked for."""
    program = folder() / "bin" / "server"
    if program.exists():
        return program
    if not build:
        return "it is not built yet; the full form of this benchmark does it"
    go = shutil.which("go")
    if go is None:
        return "Go is not installed here, which builds it"
    print(f"building Toxiproxy {VERSION} with Go (up to a minute) ...", flush=True)
    environment = os.environ | {"GOBIN": str(program.parent), "GOPATH": str(folder() / "go"), "GOFLAGS": "-modcacherw"}
    command = [go, "install", f"{MODULE}/cmd/server@{VERSION}"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=False)
    except subprocess.TimeoutExpired:
        return f"Go did not build it within {BUILD_S:g} s"
    finally:
        shutil.rmtree(folder() / "go", ignore_errors=True)
    if done.returncode:
        return f"Go could not build it: {done.stderr.strip().splitlines()[-1:] or done.returncode}"
    return program


@dataclass
class Toxiproxy:
    """One running server with one proxy."""

    api: str
    port: int = 0

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Ask its HTTP interface."""
        answer = httpx.request(method, self.api + path, json=body, timeout=START_S, trust_env=False)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def lead_to(self, upstream: int) -> None:
        """Make the proxy."""
        made = {"name": "benchmark", "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream}", "enabled": True}
        self.port = int(self.call("POST", "/proxies", made)["listen"].rpartition(":")[2])

    def delay(self, ms: float) -> None:
        """Delay what goes up by so many milliseconds; 0 ends it."""
        if ms:
            toxic = {"name": "late", "type": "latency", "stream": "upstream", "attributes": {"latency": int(ms)}}
            self.call("POST", "/proxies/benchmark/toxics", toxic)
        else:
            self.call("DELETE", "/proxies/benchmark/toxics/late")


@contextmanager
def toxiproxy(program: Path, upstream: int) -> Iterator[Toxiproxy]:
    """Run it in front of a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [program, "-host", "127.0.0.1", "-port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "LOG_LEVEL": "error"},
    )
    running = Toxiproxy(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                running.call("GET", "/proxies")
                break
            except httpx.TransportError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        running.lead_to(upstream)
        yield running
    finally:
        server.terminate()
        try:
            server.wait(START_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
