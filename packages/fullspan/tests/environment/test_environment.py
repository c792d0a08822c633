"""Environments: read strictly, laid over a stack, trusted as they say, and never telling a secret."""

import http.server
import json
import os
import re
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fullspan.clients import FocusClient
from fullspan.environment import Environment, environment_names, find_environment, load_environment
from fullspan.errors import StackError, UsageError
from fullspan.stack import Stack, open_stack
from packages.fullspan.tests.commands import fullspan_here

GUIDE = Path(__file__).parents[4] / "docs" / "environments.md"
STAGING = """\
schema: fullspan/environment/1
name: staging
description: the machine in the lab
profile: quick
site: lab-7
endpoints:
  web.http: "http://lab:${secret.web}@lab.example:8080/"
tls: {ca: certs/ca.pem}
constraints: {channels: 1728, max_frequency_hz: 500, windows: 12, other: {trenches: 3}}
display: {duration_s: 20, colormap: jet, caxis_db: [-10, 30]}
nfft: {single_channel: 512}
kubernetes:
  namespace: das
  components: {web: {workload: deployment/web-server, service: web, selector: {app: web}}}
secrets: {web: "file:secrets/web"}
overrides:
  components: {web: {env: {MODE: lab}}}
"""
STACK = """\
schema: fullspan/stack/1
name: small
secrets: {web: random, token: random}
components:
  web:
    run: ["${python}", -c, "import os, time; print('on', *map(os.getenv, ('MODE', 'WEB', 'LEVEL'))); time.sleep(600)"]
    env: {MODE: normal, WEB: "${secret.web}", LEVEL: usual}
    ready: {log: "^on", timeout_s: 30}
    stop: {timeout_s: 1}
endpoints: {web.http: "http://127.0.0.1:1", web.other: "http://127.0.0.1:2"}
profiles: {quick: {components: {web: {env: {LEVEL: quick}}}}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {
        "environments/staging.yaml": STAGING,
        "stacks/small.yaml": STACK,
        "secrets/web": "the-lab-password\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    for name in ("FULLSPAN_VAR", "FULLSPAN_ENV"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_whole_file(project: Path):
    found = load_environment(find_environment("staging"))
    assert (found.name, found.site, found.profile) == ("staging", "lab-7", "quick")
    assert (found.constraints.channels, found.constraints.other) == (1728, {"trenches": 3})
    assert found.constraints.jobs is None
    assert found.display.caxis_db == (-10, 30)
    assert found.nfft.choices == (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
    assert found.kubernetes.components["web"].workload == "deployment/web-server"
    assert found.addresses() == {"web.http": "http://lab:the-lab-password@lab.example:8080/"}
    assert "the-lab-password" not in repr(found) + found.model_dump_json()
    assert environment_names() == ["staging"]


def test_the_house_has_one_that_says_what_focus_can_do():
    found = load_environment(Path(__file__).parents[4] / "environments" / "local.yaml")
    assert (found.constraints.channels, found.constraints.windows, found.constraints.jobs) == (2222, 30, 200)
    assert found.endpoints == {}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("site: lab-7", "siet: lab-7", "the key 'siet' is not known. Did you mean 'site'?"),
        ("channels: 1728", "channels: 0", "at constraints.channels: Input should be greater than or equal to 1."),
        ("single_channel: 512", "single_channel: 500", "at nfft: single_channel 500 is none of the choices 128, 256"),
        ("[-10, 30]", "[30, -10]", "at display.caxis_db: the lower end comes first: 30 is not below -10."),
        ("deployment/web-server", "web-server", "at kubernetes.components.web.workload: String should match"),
        ("file:secrets/web", "hunter2", "at secrets.web: String should match pattern"),
        ("http://lab:${secret.web}@lab.example:8080/", "lab.example", "web.http is 'lab.example', which is no address"),
        ("environment/1", "environment/2", "at schema: Input should be 'fullspan/environment/1'."),
    ],
)
def test_mistakes_are_named_at_their_place(project: Path, old: str, new: str, words: str):
    file = project / "environments" / "staging.yaml"
    assert old in STAGING
    file.write_text(STAGING.replace(old, new))
    with pytest.raises(UsageError) as caught:
        load_environment(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_what_an_address_refers_to_must_be_there(project: Path):
    (project / "secrets" / "web").unlink()
    with pytest.raises(StackError, match=r"secret 'web' is missing: its file .*secrets/web cannot be read"):
        load_environment(find_environment("staging")).addresses()
    lost = Environment(name="x", endpoints={"web.http": "http://${secret.wbe}@x/"}, secrets={"web": "env:X"})
    with pytest.raises(UsageError, match=r"refers to \$\{secret\.wbe\}, which it does not have\. Did you mean"):
        lost.addresses()
    with pytest.raises(UsageError, match=r"There is no environment 'stagign'.*Did you mean 'staging'\?"):
        find_environment("stagign")


def test_a_stack_is_brought_up_as_its_environment_says(project: Path, monkeypatch: pytest.MonkeyPatch):
    (project / "environments" / "staging.yaml").write_text(STAGING.replace("tls: {ca: certs/ca.pem}\n", ""))
    with open_stack("small", env="staging") as stack:
        assert "on lab the-lab-password quick" in stack.logs("web").read_text()
        assert stack.profile == "quick"
        assert stack.environment.site == "lab-7"
        assert stack.endpoint("web.http") == "http://lab:the-lab-password@lab.example:8080/"
        assert (stack.overridden("web.http"), stack.overridden("web.other")) == (True, False)
        assert "the-lab-password" in stack.secret_values()
        assert len(stack.secret_values()) == 2
        with Stack.attach("small") as other:
            assert other.environment.name == "staging"
        (project / "environments" / "bare.yaml").write_text("schema: fullspan/environment/1\n")
        with Stack.attach("small", env="bare") as other:
            assert (other.environment.name, other.endpoint("web.http")) == ("bare", "http://127.0.0.1:1")
        monkeypatch.setenv("FULLSPAN_ENDPOINT__WEB__HTTP", "http://setting")
        with Stack.attach("small") as other:
            assert other.endpoint("web.http") == "http://setting"
    assert "the-lab-password" not in stack.events().read_text()


def test_an_environment_that_does_not_fit_the_stack_is_named_before_anything_starts(project: Path):
    (project / "environments" / "staging.yaml").write_text(STAGING.replace("{MODE: lab}", "{MODE: [lab]}"))
    done = fullspan_here(project, "up", "small", "--env", "staging")
    assert done.returncode == 3
    assert "small.yaml, environment 'staging': at components.web.env.MODE: a text is needed" in done.stderr
    assert not (project / "var" / "run" / "small" / "state.json").exists()


def test_commands_show_it_and_its_schema(project: Path):
    assert "staging               the machine in the lab" in fullspan_here(project, "env").stdout
    (project / "certs").mkdir()
    missing = fullspan_here(project, "env", "show", "staging")
    assert missing.returncode == 3
    assert "tls.ca" in missing.stderr
    assert "cannot be read: No such file" in missing.stderr
    assert "the-lab-password" not in missing.stdout
    assert '"fullspan/environment/1"' in fullspan_here(project, "schema", "environment").stdout
    assert "env = staging    [environment]" in fullspan_here(project, "config", FULLSPAN_ENV="staging").stdout


@pytest.fixture
def https(tmp_path: Path) -> Iterator[str]:
    """A real HTTPS server with a certificate that it signed itself."""
    certs = tmp_path / "certs"
    certs.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", certs / "key.pem", "-out", certs / "ca.pem", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / "ca.pem", certs / "key.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def environment_of(folder: Path, tls: str) -> Environment:
    file = folder / "environments" / "here.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"schema: fullspan/environment/1\ntls: {tls}\n")
    return load_environment(file)


def status(url: str, context: ssl.SSLContext) -> int:
    with urllib.request.urlopen(url, context=context, timeout=10) as answer:  # noqa: S310 - it is https
        return answer.status


SECURE = """\
schema: fullspan/stack/1
name: secure
components:
  web:
    driver: remote
    with: {at: {https: "127.0.0.1:PORT"}}
    ports: {https: }
    ready: {http: "https://127.0.0.1:${self.https}/", timeout_s: 6}
endpoints: {web.https: "https://127.0.0.1:${web.https}/"}
"""


def test_probes_and_clients_trust_as_the_environment_says(project: Path, https: str):
    (project / "stacks" / "secure.yaml").write_text(SECURE.replace("PORT", https.split(":")[2].rstrip("/")))
    environment_of(project, "{ca: certs/ca.pem}")
    with (
        open_stack("secure", env="here") as stack,
        FocusClient(stack.endpoint("web.https"), tls=stack.environment.tls.context()) as client,
    ):
        assert client.raw("GET", "/").status_code == 200
        assert "environment here" in fullspan_here(project, "status", "secure").stdout
    with pytest.raises(StackError, match=r"not ready within 6 s.*certificate verify failed"), open_stack("secure"):
        pass


def test_doctor_looks_at_what_an_environment_needs(project: Path):
    found = fullspan_here(project, "doctor", "small", "--env", "staging", "--json")
    checks = {(check["topic"], check["name"]): check for check in json.loads(found.stdout)["checks"]}
    assert "tls.ca" in checks["environment staging", "certificates"]["detail"]
    assert checks["environment staging", "addresses"]["level"] == "ok"
    assert found.returncode == 3
    assert "the-lab-password" not in found.stdout


def test_a_server_with_its_own_authority_is_trusted_by_who_names_it_only(tmp_path: Path, https: str):
    assert status(https, environment_of(tmp_path, "{ca: certs/ca.pem}").tls.context()) == 200
    assert status(https, environment_of(tmp_path, "{verify: false}").tls.context()) == 200
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        status(https, environment_of(tmp_path, "{}").tls.context())
    (tmp_path / "certs" / "other.pem").write_text("no certificate")
    with pytest.raises(UsageError, match=r"tls\.ca .*other\.pem is no PEM file"):
        environment_of(tmp_path, "{ca: certs/other.pem}").tls.context()


def test_the_guides_example_is_read_and_every_key_explained(tmp_path: Path):
    text = GUIDE.read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "guide.yaml").write_text(example)
    found = load_environment(tmp_path / "guide.yaml")
    assert found.model_fields_set >= Environment.model_fields.keys() - {"imported"}
    for name in Environment.model_fields.keys() - {"schema_"}:
        assert re.search(rf"^\| .*`{name}`.* \|", text, re.MULTILINE), name
