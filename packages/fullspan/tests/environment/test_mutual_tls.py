"""A server that demands a certificate of its clients: who shows the right one gets in, and nobody else does."""

import http.server
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullspan.clients import ClientError, FocusClient
from fullspan.environment import Environment, load_environment
from fullspan.errors import StackError, UsageError
from fullspan.stack.bring_up import open_stack

STACK = """\
schema: fullspan/stack/1
name: guarded
components:
  web:
    driver: remote
    with: {at: {https: "127.0.0.1:PORT"}}
    ports: {https: }
    ready: {http: "https://127.0.0.1:${self.https}/", timeout_s: 3}
endpoints: {web.https: "https://127.0.0.1:${web.https}/"}
"""


class Guard(http.server.BaseHTTPRequestHandler):
    """Answers with the name that the client's certificate bears."""

    def do_GET(self) -> None:
        certificate = self.connection.getpeercert()
        name = dict(pair for part in certificate["subject"] for pair in part)["commonName"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(name)))
        self.end_headers()
        self.wfile.write(name)

    def log_message(self, *_: object) -> None:
        pass


class Door(http.server.ThreadingHTTPServer):
    """Notes why it let somebody not in: what such a client reads of that depends on which bytes come first."""

    def __init__(self, certs: Path) -> None:
        super().__init__(("127.0.0.1", 0), Guard)
        self.refused: list[str] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs / "server.pem", certs / "server.key")
        context.load_verify_locations(certs / "authority.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_address[1]}/"

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        try:
            return super().get_request()
        except ssl.SSLError as error:
            self.refused.append(error.reason)
            raise

    def refuses(self, why: str) -> bool:
        deadline = time.monotonic() + 60
        while why not in self.refused and time.monotonic() < deadline:
            time.sleep(0.01)
        return why in self.refused


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(
        ["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def signed_by_itself(folder: Path, name: str) -> None:
    names = ("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    openssl(
        folder, "req", "-x509", *KEY, "-subj", f"/CN={name}", *names, "-keyout", f"{name}.key", "-out", f"{name}.pem"
    )


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the server, of an authority, of a client that it knows, and of one that nobody does."""
    folder = tmp_path_factory.mktemp("project") / "certs"
    folder.mkdir()
    for name in ("server", "authority", "stranger"):
        signed_by_itself(folder, name)
    openssl(folder, "req", *KEY, "-subj", "/CN=fullspan", "-keyout", "client.key", "-out", "client.csr")
    openssl(folder, "x509", "-req", "-in", "client.csr", "-CA", "authority.pem", "-CAkey", "authority.key",
            "-CAcreateserial", "-days", "2", "-out", "client.pem")  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def guarded(certs: Path) -> Iterator[Door]:
    """A real HTTPS server that takes only clients with a certificate of the authority."""
    with Door(certs) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def environment_of(certs: Path, tls: str) -> Environment:
    file = certs.parent / "environments" / "lab.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"schema: fullspan/environment/1\ntls: {tls}\n")
    return load_environment(file)


def asked(url: str, environment: Environment) -> str:
    with urllib.request.urlopen(url, context=environment.tls.context(), timeout=30) as answer:  # noqa: S310 - https
        return answer.read().decode()


SHOWN = "{ca: certs/server.pem, certificate: certs/client.pem, key: certs/client.key}"


def test_the_server_sees_the_certificate_that_the_environment_names(certs: Path, guarded: Door):
    assert asked(guarded.url, environment_of(certs, SHOWN)) == "fullspan"
    both = (certs / "client.pem").read_text() + (certs / "client.key").read_text()
    (certs / "both.pem").write_text(both)
    assert (
        asked(guarded.url, environment_of(certs, "{ca: certs/server.pem, certificate: certs/both.pem}")) == "fullspan"
    )


def test_who_shows_nothing_or_a_strangers_certificate_is_not_let_in(certs: Path, guarded: Door):
    with pytest.raises(OSError):  # noqa: PT011 - the words depend on which bytes come first; the server's do not
        asked(guarded.url, environment_of(certs, "{ca: certs/server.pem}"))
    assert guarded.refuses("PEER_DID_NOT_RETURN_A_CERTIFICATE")
    stranger = "{ca: certs/server.pem, certificate: certs/stranger.pem, key: certs/stranger.key}"
    with pytest.raises(OSError):  # noqa: PT011
        asked(guarded.url, environment_of(certs, stranger))
    assert guarded.refuses("CERTIFICATE_VERIFY_FAILED")


def test_probes_and_clients_of_a_stack_show_it_too(certs: Path, guarded: Door, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(certs.parent)
    (certs.parent / "stacks").mkdir()
    (certs.parent / "stacks" / "guarded.yaml").write_text(STACK.replace("PORT", guarded.url.split(":")[2].rstrip("/")))
    environment_of(certs, SHOWN)
    with (
        open_stack("guarded", env="lab") as stack,
        FocusClient(stack.endpoint("web.https"), tls=stack.environment.tls.context()) as client,
        FocusClient(stack.endpoint("web.https"), tls=ssl.create_default_context(cafile=certs / "server.pem"),
                    retries=0) as nameless,
    ):  # fmt: skip
        assert client.raw("GET", "/").text == "fullspan"
        with pytest.raises(ClientError):
            nameless.ack()
    environment_of(certs, "{ca: certs/server.pem}")
    guarded.refused.clear()
    with pytest.raises(StackError, match=r"'web' is not ready within 3 s"), open_stack("guarded", env="lab"):
        pass
    assert guarded.refuses("PEER_DID_NOT_RETURN_A_CERTIFICATE")


def test_a_certificate_that_cannot_be_shown_is_named(certs: Path):
    with pytest.raises(UsageError, match=r"tls\.certificate certs/client\.pem cannot be used: KEY_VALUES_MISMATCH"):
        environment_of(certs, "{certificate: certs/client.pem, key: certs/stranger.key}").tls.context()
    with pytest.raises(UsageError, match=r"tls\.key .*lost\.key cannot be read: No such file"):
        environment_of(certs, "{certificate: certs/client.pem, key: certs/lost.key}").tls.context()
    with pytest.raises(UsageError, match="a key alone shows nothing to a server"):
        environment_of(certs, "{key: certs/client.key}")


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked_for_it(certs: Path):
    openssl(certs, "ec", "-in", "client.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
    with pytest.raises(UsageError, match="has a passphrase, and in a run nobody is asked"):
        environment_of(certs, "{certificate: certs/client.pem, key: certs/locked.key}").tls.context()
