"""How fast Avro values become an Arrow table, and frames become values, in processor time.

Claim: a batch of 50,000 trades is decoded at more than 50,000 rows a second on one core, many times as fast as reading
them one by one with fastavro, which is the peer; the tables are equal. Frames to encoded values is what a feed does for
every trade; its peer is `json.loads` alone. Processor time of this process is taken, so other work matters
little.
"""

import io
import json
import time
from collections.abc import Callable, Sequence
from decimal import Decimal

import fastavro
import pyarrow as pa
from _figures import options, print_claim, read, show

from k2.bus import Codec
from k2.feed.frames import read_frame
from k2.schema import TRADE, Trade

ROWS = 50_000
QUICK_ROWS = 3_000
WANTED = 50_000.0


def frames(rows: int) -> list[str]:
    """Write frames as the exchange sends them."""
    return [
        f'{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{1723161255343 + n},"s":"BTCUSDT","t":{3735683259 + n},'
        f'"p":"{61000 + n % 999}.{n % 100:02d}000000","q":"0.{n % 99999:05d}000","T":{1723161255342 + n},'
        '"m":true,"M":true}}'
        for n in range(rows)
    ]


def rate(work: Callable[[], object], rows: int) -> float:
    """Return thousands of rows a second of processor time."""
    began = time.process_time()
    work()
    return rows / (time.process_time() - began) / 1000


def one_by_one(values: Sequence[bytes]) -> pa.Table:
    """Do what the library offers: read each value, then make a table of the rows."""
    schema = fastavro.parse_schema(TRADE.avro())
    rows = []
    for value in values:
        stream = io.BytesIO(value)
        stream.seek(10)
        rows.append(fastavro.schemaless_reader(stream, schema))
    return pa.Table.from_pylist(rows, schema=TRADE.arrow())


def main() -> None:
    """Measure both ways, each beside its peer in the same run."""
    given = read(options(__doc__, 10, "batches"))
    count = QUICK_ROWS if given.quick else ROWS
    codec = Codec(TRADE)
    told = frames(count)

    def encoded() -> list[bytes]:
        found = []
        for number, frame in enumerate(told):
            trade = read_frame(frame, 1723161255400000, number)
            assert isinstance(trade, Trade)
            found.append(codec.encode(trade))
        return found

    values = encoded()
    assert codec.decode(values).table.equals(one_by_one(values))
    assert codec.decode(values[:1]).table["price"][0].as_py() == Decimal("61000.00000000")
    bulk, single, intake, bare = [], [], [], []
    for _ in range(given.n):
        bulk.append(rate(lambda: codec.decode(values), count))
        single.append(rate(lambda: one_by_one(values), count))
        intake.append(rate(encoded, count))
        bare.append(rate(lambda: [json.loads(frame) for frame in told], count))
    print(f"\n{count} trades of {len(values[0])} bytes, thousands of rows a second of processor time:")
    decoded = show("decode a batch into Arrow", bulk, "k/s")
    peer = show("fastavro one by one, then Arrow (peer)", single, "k/s")
    print(f"  ratio {decoded / peer:.1f}")
    print_claim("more than 50,000 rows a second", decoded * 1000 > WANTED, quick=given.quick)
    taken = show("frame to encoded value", intake, "k/s")
    loads = show("json.loads alone (peer)", bare, "k/s")
    print(f"  ratio {taken / loads:.2f}")


if __name__ == "__main__":
    main()
