"""A catalogue that somebody else holds: the API goes on answering from what it knows, and says how old that is."""

import sqlite3
from contextlib import closing, contextmanager
from itertools import count

from ..programs import until  # noqa: TID252
from .conftest import trade

STALE_S = 2.0


@contextmanager
def locked(uri):
    """Hold a catalogue, as somebody who looks at it with another program may."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///").partition("?")[0], timeout=60)) as database:
        database.isolation_level = None
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


def numbers(http, path):
    answer = http.get(path)
    assert answer.status_code == 200, answer.text
    return [row["source_sequence"] for row in answer.json()["data"]]


def test_a_locked_catalogue_is_told_and_what_is_known_is_answered(place):
    impatient = f"{place.serve.catalog_uri}?timeout=0.3"
    place.send(trade(number) for number in range(1, 11))
    with place.served(stale_s=STALE_S, catalog_uri=impatient) as http:

        def reasons():
            return " ".join(http.get("/health/ready").json()["reasons"])

        with place.writing():
            until(lambda: http.get("/v1/trades").status_code == 200, "the table is there")
            until(lambda: len(numbers(http, "/v1/trades")) == 10, "the table has all")
            with locked(place.serve.catalog_uri):
                until(lambda: "database is locked" in reasons(), "the lock is told")
                assert http.get("/health/ready").status_code == 503
                assert http.get("/health").json()["dependencies"]["lake"]["state"] == "down"
                until(lambda: "data are stale: the newest trade came" in reasons(), "the age is told")
                place.send([trade(11)])
                until(lambda: set(numbers(http, "/v1/trades/recent")) == set(range(1, 12)), "the live tail goes on")
                until(lambda: "trades wait for the table" in reasons(), "that nobody writes is told")
                assert sorted(numbers(http, "/v1/trades")) == list(range(1, 11)), "of the table, what was known of it"
                asked = {"table": "trades", "columns": ["source_sequence"], "limit": 100}
                assert len(http.post("/v1/query", json=asked).json()["data"]) == 10
                for path in ("/v1/symbols", "/v1/stats", "/v1/quotes", "/v1/ohlcv/1m?symbol=BTCUSDT", "/v1/status"):
                    assert http.get(path).status_code == 200, path
                assert "database is locked" in reasons()
            until(lambda: len(numbers(http, "/v1/trades")) == 11, "the table has what came meanwhile")

            fresh = count(12)

            def ready():
                place.send([trade(next(fresh))])
                return http.get("/health/ready").status_code == 200

            until(ready, "it is ready again")
