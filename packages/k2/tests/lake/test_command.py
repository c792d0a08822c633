"""`k2 ingest` as a command: what it says, what it tells Prometheus, and how it ends."""

import signal

import pytest

from ..programs import until  # noqa: TID252


def figures(program):
    return program.figures("ingest.metrics")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_what_it_has_read_is_stored_when_it_is_ended(k2, lake, number, code):
    environment = lake.environment(K2_FLUSH_S="3600", K2_FLUSH_ROWS="1000", K2_METRICS_PORT="0")
    program = k2("ingest", "trades", **environment)
    lake.send_trades(range(1, 101))
    until(lambda: figures(program).get('k2_writer_held_records{table="trades"}') == 100, "all are read")
    assert lake.numbers() == {}
    assert program.end(number) == code
    assert program.events("ingest.stopped")
    assert lake.numbers() == dict.fromkeys(range(1, 101), 1)
    assert sum(lake.table().offsets().items().values()) == 100


def test_a_catalogue_that_is_locked_when_it_starts_is_waited_for(k2, lake):
    """For longer than the library waits by itself."""
    with lake.locked():
        program = k2("ingest", "trades", **lake.environment(K2_CATALOG_URI=lake.impatient))
        assert "locked" in program.wait_for("writer.waiting")["why"]
    lake.send_trades(range(1, 51))
    lake.wait_for(range(1, 51))
    assert program.end() == 0


def test_what_cannot_be_meant_is_refused_with_a_sentence(k2, lake):
    for arguments, environment, said in (
        (["orders"], {}, "'orders' is not one of 'trades', 'quotes'"),
        (["--flush-s", "-1"], {}, "The setting flush_s (option) cannot be used"),
        ([], {"K2_METRICS_PORT": lake.broker.bootstrap.split(":")[1]}, "cannot be listened on: Address already in use"),
    ):
        code, text = k2("ingest", *arguments, **lake.environment(**environment)).ended()
        assert (code, said in text, "Traceback" in text) == (3, True, False), text
