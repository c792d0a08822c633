"""A question tells a program that lives from one that only listens."""

import socket
import threading
import time

import pytest

from fullspan.faults import Question


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def question(listener, expect=b"HTTP/"):
    return Question("127.0.0.1", listener.getsockname()[1], b"hello", expect, "a greeting")


def answer_with(listener, data, after=0.0):
    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            time.sleep(after)  # audit: sleep because the service is slow on purpose
            connection.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.timed
def test_an_accepted_connection_is_no_answer(listener):
    began = time.monotonic()
    with question(listener).ask() as asked:
        answer = asked.answer(0.2)
    assert (answer.seen, answer.detail[:36]) == (False, "no answer: a greeting was awaited fo")
    assert 0.2 <= time.monotonic() - began < 1


def test_an_answer_is_seen(listener):
    thread = answer_with(listener, b"HTTP/1.1 404 Not Found\r\n")
    with question(listener).ask() as asked:
        assert asked.answer(5).detail == "a greeting came"
    thread.join()


def test_a_closed_connection_is_no_answer(listener):
    thread = answer_with(listener, b"")
    with question(listener).ask() as asked:
        assert asked.answer(5).detail == "the connection was closed instead of a greeting"
    thread.join()


def test_a_refused_connection_names_the_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = question(listener)
    with gone.ask() as asked:
        answer = asked.answer(1)
    assert not answer.seen
    assert answer.detail == f"a greeting was refused by port {gone.port} (Connection refused)"
    assert gone.until_answered(0.2).detail.endswith("(Connection refused); tried for 0.2 s")


def test_it_is_asked_again_until_it_is_answered(listener):
    def serve():
        listener.accept()[0].close()
        answer_with(listener, b"HTTP/").join()

    thread = threading.Thread(target=serve)
    thread.start()
    answer = question(listener).until_answered(5)
    assert (answer.seen, answer.detail) == (True, "a greeting came")
    thread.join()


@pytest.mark.parametrize(
    ("url", "port", "name"),
    [
        ("amqp://u:secret@127.0.0.1:70/", 7, "an AMQP greeting"),
        ("http://localhost:70/health", 7, "an HTTP answer"),
        ("http://127.0.0.1:71/", None, None),
        ("http://elsewhere:70/", None, None),
        ("mongodb://u:secret@127.0.0.1:70/prisma", 7, "a MongoDB greeting"),
        ("ftp://127.0.0.1:70/", None, None),
    ],
)
def test_an_address_has_the_question_of_its_scheme(url, port, name):
    found = Question.of_url(url, {70: 7})
    assert (found and found.port, found and found.name) == (port, name)
    assert "secret" not in repr(found)
