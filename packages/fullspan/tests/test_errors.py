"""Errors say what happened and what to do, and know the exit code that they stand for."""

import pytest

from fullspan.errors import ComponentDied, FullspanError, Inconclusive, Outlived, StackError, UsageError


def test_message_and_remedy_make_one_text():
    error = UsageError("The port is taken.", "Take another one.")
    assert str(error) == "The port is taken. Take another one."
    assert (error.message, error.remedy) == ("The port is taken.", "Take another one.")


def test_without_a_remedy_the_message_stands_alone():
    assert str(StackError("It broke.")) == "It broke."


def test_component_died_quotes_the_last_lines():
    error = ComponentDied("web", "exit code 7", ["first", "last"], "Look at web.log.")
    assert str(error) == (
        "Component 'web' died: exit code 7. Its last log lines:\n    first\n    last \nLook at web.log."
    )
    assert (error.component, error.ending, error.last_lines) == ("web", "exit code 7", ("first", "last"))


def test_component_died_in_silence():
    assert str(ComponentDied("web", "ended by SIGKILL")) == "Component 'web' died: ended by SIGKILL. It logged nothing."


def test_outlived_names_each_process_and_keeps_their_identities():
    error = Outlived("run-7", 20, {(4, 1): "web (pid 4) is held", (5, 2): "disk (pid 5) waits"})
    told = "2 processes of the run run-7 outlived 20 s of SIGKILL: web (pid 4) is held; disk (pid 5) waits."
    assert error.message == told
    assert list(error.processes) == [(4, 1), (5, 2)]
    assert "`fullspan down` and `fullspan up` look again" in str(error)


@pytest.mark.parametrize(("kind", "code"), [(UsageError, 3), (StackError, 3), (Inconclusive, 2), (FullspanError, 3)])
def test_exit_codes(kind: type[FullspanError], code: int):
    assert kind("why").exit_code == code


def test_inconclusive_has_a_reason():
    assert Inconclusive("no record was in flight").reason == "no record was in flight"
