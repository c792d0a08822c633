"""A secret that an environment's addresses need and that is not there: told before anything starts."""

from pathlib import Path

from packages.fullspan.tests.commands import fullspan_here

STACK = """\
schema: fullspan/stack/1
name: small
components:
  web: {run: ["${python}", -c, "import time; time.sleep(60)"]}
"""
LAB = """\
schema: fullspan/environment/1
endpoints: {broker.amqp: "amqp://reader:${secret.password}@mq.example/"}
secrets: {password: env:NOBODY_HAS_SET_THIS}
"""


def test_nothing_is_brought_up_for_an_address_that_nobody_can_use(tmp_path: Path):
    for name, text in (("stacks/small.yaml", STACK), ("environments/lab.yaml", LAB)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    done = fullspan_here(tmp_path, "up", "small", "--env", "lab")
    assert done.returncode == 3
    assert "The secret 'password' is missing: the variable NOBODY_HAS_SET_THIS is not set" in done.stderr
    assert "started" not in done.stdout + done.stderr
