"""What the catalogue is told in the background; a real MongoDB."""

import asyncio
import time

import pytest

from focus_server.recordings.recorder.registrar import Registrar

pytestmark = pytest.mark.anyio


async def told(registrar, done, wait_until):
    task = asyncio.ensure_future(registrar.run())
    try:
        await wait_until(done, "the catalogue's documents")
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=60)


async def test_what_nobody_records_any_more_is_no_running_recording(
    catalogue, database, running, make_entry, tmp_path, wait_until
):
    base = tmp_path / "recordings"
    base.mkdir()
    now = {"t0_ns": (time.time_ns() // 10**9 - 100) * 10**9}
    left, mine, whole = running(1, **now), running(2, **now), make_entry(3, **now)
    await catalogue.begun(left)
    await catalogue.begun(mine)
    guid = await catalogue.base_path(base)

    def states():
        return {it["uuid"]: (it["deleted"], it["end_time"] is None) for it in database[guid].find({})}

    registrar = Registrar(catalogue, base, lambda: {mine.uuid}, lost_s=0.0)
    registrar.note(whole)
    expected = {left.uuid: (True, True), mine.uuid: (False, True), whole.uuid: (False, False)}
    await told(registrar, lambda: states() == expected, wait_until)
    # Its blocks were with the broker after all.
    found = make_entry(1, **now)
    registrar = Registrar(catalogue, base, lambda: {mine.uuid}, lost_s=60.0)
    registrar.note(found)
    await told(registrar, lambda: states()[found.uuid] == (False, False), wait_until)
    assert states()[mine.uuid] == (False, True)


async def test_the_newest_word_counts_and_deleted_stays_deleted(
    catalogue, database, running, make_entry, tmp_path, wait_until
):
    guid = await catalogue.base_path(tmp_path / "recordings")
    registrar = Registrar(catalogue, tmp_path / "recordings", set)
    registrar.note(running(1))
    registrar.note(make_entry(1))
    registrar.note(make_entry(2))
    await registrar.deleted([make_entry(2).uuid])

    def documents():
        return [(it["uuid"], it["end_time"] is None) for it in database[guid].find({})]

    await told(registrar, lambda: documents() == [(make_entry(1).uuid, False)], wait_until)
