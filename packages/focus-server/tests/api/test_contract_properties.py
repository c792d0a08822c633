"""The whole space of requests to /configure, from the border of the server to real jobs on real ports."""

import math
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.anyio

NFFTS = [2**k for k in range(7, 17)]
RING = 131_072


def examples(number):
    """Run so many examples."""
    return settings(
        deadline=None,
        derandomize=True,
        max_examples=number,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
    )


SETTLED = examples(25)
"""The same examples each time, so that a red build is about the change, not about the dice."""


PLANTS = [("1999.976", 130, 1000), ("100", 3, 0.002)]
"""Samples/s, channels, and processors that jobs may have."""


@pytest.fixture(scope="module", params=PLANTS, ids=str)
async def plant(anyio_backend, request, tmp_path_factory, make_plant):
    async with make_plant(tmp_path_factory.mktemp("plant"), *request.param).running() as made:
        yield made


def some(*values):
    """One of these, or the field left out, or null, which is the same."""
    return st.sampled_from([..., None, *values]) if values else st.sampled_from([..., None])


@st.composite
def meaningful(draw, channels=130):
    """A request that obeys the rules about shape and value; whether the fibre can do it is another matter."""
    view = draw(st.sampled_from([0, 1, 2]))
    first = draw(st.integers(1, channels))
    document = {
        "view_type": draw(st.sampled_from([view, str(view)])),
        "channels": {"min": first, "max": draw(st.integers(first, channels))},
        "displayInfo": {"height": draw(st.integers(1, 5000))},
        "somethingNew": draw(some(1, "x", {"a": []})),
        "nfftSelection": draw(some(1) if view == 2 else some(*NFFTS[:6], 512.0, *NFFTS)),
        "lines_per_second": draw(some(0.1, 1, 20, 33.3, 5000, 1e300)),
    }
    if view != 2:
        document["displayTimeAxisDuration"] = draw(some(0.001, 10, 31_622_400))
        if document["lines_per_second"] in (..., None):
            document["overlap"] = draw(some(0, 0.25, 0.5, 0.9, 0.98))
        if draw(st.booleans()):
            low = draw(st.floats(0, 999).map(lambda hz: round(hz, 3)))
            span = draw(st.floats(1, 1000).map(lambda hz: round(hz, 3)))
            document["frequencyRange"] = {"min": low, "max": max(low + 1, min(1000.0, round(low + span, 3)))}
    return {name: value for name, value in document.items() if value is not ...}


def exact(number):
    return Fraction(str(number))


class Wanted:
    """What the contract says about a request on a fibre, worked out here without the server's code."""

    def __init__(self, document, fs):
        absent = document.get
        self.view = int(document["view_type"])
        self.low, self.high = document["channels"]["min"], document["channels"]["max"]
        self.amount = self.high - self.low + 1
        self.streams = min(3, self.amount) if self.view == 0 else 1
        self.nfft = 1 if self.view == 2 else int(absent("nfftSelection") or 1024)
        self.frequencies = [] if self.view == 2 else self._bins(absent("frequencyRange"), fs)
        self.hop = self._hop(absent("lines_per_second"), absent("overlap"), fs)
        self.duration_s = None if self.view == 2 else absent("displayTimeAxisDuration") or 10.0
        span = self.hop if self.view == 2 else max(self.nfft, self.hop)
        self.fits = span <= RING // 2

    def _bins(self, band, fs):
        low, high = (0, fs) if band is None else (exact(band["min"]), exact(band["max"]))
        first, last = math.ceil(low * self.nfft / fs), math.floor(high * self.nfft / fs)
        number, over = fs.numerator, fs.denominator * self.nfft
        return [k * number / over for k in range(first, min(last, self.nfft // 2) + 1)]

    def _hop(self, rate, overlap, fs):
        if rate is not None:
            return max(1, round(fs / exact(rate)))
        if self.view == 2:
            return max(1, round(fs / 20))
        if overlap is not None:
            return max(1, round(self.nfft * (1 - exact(overlap))))
        return max(1, min(self.nfft // 2, round(fs)))


def is_an_error(body):
    return set(body) == {"error", "detail"} and isinstance(body["error"], str) and len(body["error"]) > 10


@SETTLED
@given(document=meaningful())
async def test_what_is_accepted_has_the_relations_of_the_contract(plant, document):
    status, job, raw = await plant.ask(document)
    wanted = Wanted(document, plant.fs)
    if status != 200:
        assert is_an_error(job)
        assert await plant.living() == []
        inside = wanted.high <= plant.channels
        if status == 503:  # the budget of the processors, which one of the plants has little of
            assert (inside, plant.settings.compute_cores) == (True, 0.002)
        else:
            assert status == 400
            assert not (inside and wanted.fits and (wanted.frequencies or wanted.view == 2))
        return
    try:
        assert (job["status"], job["view_type"]) == ("success", wanted.view)
        assert (job["stream_url"], 0 < job["stream_port"] < 65536) == ("http://127.0.0.1", True)
        groups_are_right(job, wanted)
        assert job["frequencies_list"] == wanted.frequencies
        assert job["frequencies_amount"] == len(wanted.frequencies)
        rate_is_right(job, wanted, plant)
        metadata = job["metadata"]
        assert metadata["fs"] == float(plant.fs)
        assert metadata["displayInfo"]["height"] == document["displayInfo"]["height"]
        assert metadata["displayTimeAxisDuration"] == wanted.duration_s
        window, serial = map(int, job["job_id"].split("-"))
        assert (window, serial > 0) == (0, True)
        assert (await plant.http.get(f"/metadata/{job['job_id']}")).content == raw
        assert await plant.living() == [job["job_id"]]
    finally:
        assert (await plant.http.delete(f"/job/{job['job_id']}")).status_code == 200
    assert (await plant.http.get(f"/metadata/{job['job_id']}")).status_code == 404
    assert await plant.living() == []


def groups_are_right(job, wanted):
    index = {int(channel): stream for channel, stream in job["channel_to_stream_index"].items()}
    assert (job["stream_amount"], job["channel_amount"]) == (wanted.streams, wanted.amount)
    assert list(index) == list(range(wanted.low, wanted.high + 1))
    assert list(index.values()) == sorted(index.values())
    sizes = [list(index.values()).count(stream) for stream in range(wanted.streams)]
    assert sum(sizes) == wanted.amount
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1


def rate_is_right(job, wanted, plant):
    metadata, grid = job["metadata"], job["metadata"]["grid"]
    assert (grid["t0_ns"], grid["fs_num"], grid["fs_den"]) == (plant.t0_ns, *plant.fs.as_integer_ratio())
    assert (grid["nfft"], grid["first_line"] >= 0) == (wanted.nfft, True)
    assert job["lines_dt"] == float(grid["hop"] / plant.fs)
    assert metadata["ready_in_s"] >= 0
    if metadata["lowered"] is None:
        assert grid["hop"] == wanted.hop
    else:
        assert plant.settings.compute_cores == 0.002
        assert wanted.hop < grid["hop"] <= wanted.nfft
        assert metadata["lowered"]["asked_lines_per_second"] == float(plant.fs / wanted.hop)
        assert metadata["lowered"]["lines_per_second"] == float(plant.fs / grid["hop"])


@examples(15)
@given(
    document=meaningful(channels=3), other=st.integers(1, 3).flatmap(lambda a: st.tuples(st.just(a), st.integers(a, 3)))
)
async def test_two_jobs_that_differ_in_channels_only_agree(plant, document, other):
    made = []
    for channels in (document["channels"], {"min": other[0], "max": other[1]}):
        status, job, _ = await plant.ask(document | {"channels": channels})
        if status == 200:
            made.append(job)
    for job in made:
        await plant.http.delete(f"/job/{job['job_id']}")
    if len(made) == 2:
        one, two = made
        assert (one["view_type"], one["frequencies_list"]) == (two["view_type"], two["frequencies_list"])
        assert one["job_id"].split("-")[0] != two["job_id"].split("-")[0]
        assert one["stream_port"] != two["stream_port"]
        if not (one["metadata"]["lowered"] or two["metadata"]["lowered"]):
            assert one["lines_dt"] == two["lines_dt"]


ON_ONE_FIBRE = pytest.mark.parametrize("plant", PLANTS[:1], indirect=True, ids=str)
"""For what is refused before anybody looks at the fibre."""


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**30, 10**4000, -(10**400)]),
    st.floats(),
    st.sampled_from([1e308, -1e308, 5e-324, math.inf, -math.inf, math.nan, -0.0, 1.5]),
    st.text(max_size=20),
    st.sampled_from(
        ["1", "2", "<script>alert(1)</script>", "'; DROP TABLE jobs; --", "../../etc/passwd", "\x00", "\ud800"]
    ),
    st.sampled_from([{}, [], [[]], {"$gt": ""}, {"$where": "sleep(1000)"}, {"min": 1}, {"min": {"$ne": 1}, "max": 1}]),
    st.recursive(st.none() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=5),
)
PLACES = [
    ("view_type",),
    ("channels",),
    ("channels", "min"),
    ("channels", "max"),
    ("displayInfo",),
    ("displayInfo", "height"),
    ("displayTimeAxisDuration",),
    ("nfftSelection",),
    ("frequencyRange",),
    ("frequencyRange", "min"),
    ("frequencyRange", "max"),
    ("start_time",),
    ("end_time",),
    ("overlap",),
    ("lines_per_second",),
    ("playrate",),
]


@ON_ONE_FIBRE
@examples(60)
@given(document=meaningful(), junk=st.lists(st.tuples(st.sampled_from(PLACES), JUNK), min_size=1, max_size=3))
async def test_junk_is_refused_with_a_sentence_and_makes_nothing(plant, document, junk):
    for place, value in junk:
        target = document
        for name in place[:-1]:
            target = target.setdefault(name, {})
            if not isinstance(target, dict):
                break
        else:
            target[place[-1]] = value
    status, body, raw = await plant.ask(document)
    assert status in {200, 400, 422, 503}
    if status == 200:
        assert math.isfinite(body["lines_dt"])
        assert await plant.living() == [body["job_id"]]
        await plant.http.delete(f"/job/{body['job_id']}")
        return
    assert is_an_error(body)
    assert len(raw) < 5000
    assert b"script>" not in raw
    assert b"DROP TABLE" not in raw
    assert b"/etc/passwd" not in raw
    assert await plant.living() == []


RULES = [
    (("nfftSelection",), st.integers().filter(lambda n: n not in NFFTS), 400, ["nfft", "power of 2", "128", "65536"]),
    (("displayInfo", "height"), st.integers(max_value=0), 400, ["height", "positive"]),
    (("displayTimeAxisDuration",), st.floats(max_value=0, allow_infinity=False), 400, ["displayTimeAxisDuration"]),
    (("channels", "min"), st.integers(max_value=0), 400, ["channels.min", "at least 1"]),
    (("channels", "max"), st.integers(min_value=2223), 400, ["channels.max", "2222"]),
    (("frequencyRange",), st.floats(1000.001, 1e9).map(lambda hz: {"min": 0, "max": hz}), 400, ["1000"]),
    (("frequencyRange",), st.floats(0, 0.999).map(lambda hz: {"min": 5, "max": 5 + hz}), 400, ["1 Hz"]),
    (("overlap",), st.floats(0.9801, 1e9), 400, ["overlap", "0.98"]),
    (("lines_per_second",), st.floats(-1e9, 0.0999), 400, ["lines_per_second", "0.1"]),
    (("playrate",), st.floats(max_value=0, allow_infinity=False), 400, ["playrate"]),
    (("start_time",), st.floats(0, 1e9), 400, ["both"]),
    (("end_time",), st.floats(0, 1e9), 400, ["both"]),
    (("view_type",), st.integers().filter(lambda n: n not in (0, 1, 2)) | st.text(max_size=5), 422, ["view_type"]),
]


def broken(rule):
    values = rule[1].filter(lambda value: value not in ("0", "1", "2"))
    return st.tuples(st.just(rule[0]), values, st.just(rule[2]), st.just(rule[3]))


@ON_ONE_FIBRE
@examples(80)
@given(broken=st.one_of(*map(broken, RULES)))
async def test_a_broken_rule_is_named_whatever_the_value(plant, broken):
    place, value, status, words = broken
    document = {"view_type": 1, "channels": {"min": 1, "max": 2}, "displayInfo": {"height": 10}}
    target = document
    for name in place[:-1]:
        target = target[name]
    target[place[-1]] = value
    answered, body, _ = await plant.ask(document)
    assert answered == status
    assert all(word in body["error"] or word in body["error"].lower() for word in words), body["error"]
    assert await plant.living() == []


FORBIDDEN = {
    "nfftSelection": st.sampled_from(NFFTS),
    "frequencyRange": st.just({"min": 1, "max": 10}),
    "displayTimeAxisDuration": st.floats(1, 100),
    "overlap": st.floats(0, 0.98),
}


@ON_ONE_FIBRE
@examples(20)
@given(field=st.one_of(*(st.tuples(st.just(name), values) for name, values in FORBIDDEN.items())))
async def test_a_waterfall_takes_no_field_of_a_spectrum(plant, field):
    name, value = field
    document = {"view_type": 2, "channels": {"min": 1, "max": 2}, "displayInfo": {"height": 10}}
    status, body, _ = await plant.ask(document | {name: value})
    assert status == 422
    assert body["error"].startswith(f"{name} does not exist for a waterfall")
    assert await plant.living() == []


@ON_ONE_FIBRE
@SETTLED
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
async def test_bytes_that_are_no_request_are_422(plant, body):
    answer = await plant.http.post("/configure", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert is_an_error(answer.json())
    assert await plant.living() == []
