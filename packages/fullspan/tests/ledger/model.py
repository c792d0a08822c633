"""The comparison written as plainly as possible, quadratic where that is plainer: what `reconcile` must agree with."""

from fullspan.ledger import Guarantee, Journey, Ledger, Outcome, Stage


def seen_at(ledger: Ledger, hop: str, key: str):
    told = enumerate(ledger.observations(hop))
    found = [(seen.seen_ns, at, seen) for at, seen in told if seen.key == key and seen.outcome is Outcome.SEEN]
    return [seen for _, _, seen in sorted(found, key=lambda entry: entry[:2])]


def first_naming(journeys, hop, key):
    """Return the first journey that names a key at a hop, the stage, and the stage before it."""
    for journey in journeys:
        before = None
        for stage in journey.stages:
            if stage.hop == hop and key in stage.keys:
                return journey, stage, before
            before = stage
    raise AssertionError


def wanted_content(ledger, journeys, hop, key):
    _, stage, before = first_naming(journeys, hop, key)
    expected = stage.digest if not isinstance(stage.digest, dict) else stage.digest.get(key)
    if expected is not None:
        return expected
    if before is None or len(before.keys) != 1 or len(stage.keys) != 1:
        return None
    seen = seen_at(ledger, before.hop, before.keys[0])
    return seen[0].digest if seen else None


def keys_of(journeys, hop):
    return list(
        dict.fromkeys(key for journey in journeys for stage in journey.stages if stage.hop == hop for key in stage.keys)
    )


def wrong_content(ledger, journeys, hop, key):
    """Return None when right, "altered", or the other key whose content it carries."""
    _, stage, _ = first_naming(journeys, hop, key)
    wanted = wanted_content(ledger, journeys, hop, key)
    for seen in seen_at(ledger, hop, key):
        off = wanted is not None and seen.digest is not None and seen.digest != wanted
        far = stage.tolerance is not None and seen.deviation is not None and not seen.deviation <= stage.tolerance
        if not off and not far:
            continue
        keys = keys_of(journeys, hop)
        if "equals" in seen.attributes:
            return seen.attributes["equals"] if seen.attributes["equals"] != key else "altered"
        others = [
            other
            for other in keys
            if other != key and seen.digest is not None and wanted_content(ledger, journeys, hop, other) == seen.digest
        ]
        if not others:
            return "altered"
        return min(others, key=lambda other: abs(keys.index(other) - keys.index(key)))
    return None


def is_disordered(ledger, journeys, hop, key):
    firsts = []
    for other in keys_of(journeys, hop):
        seen = seen_at(ledger, hop, other)
        if seen:
            place = next(i for i, o in enumerate(ledger.observations(hop)) if o is seen[0])
            firsts.append(((seen[0].seen_ns, place), seen[0]))
    mine = next((entry for entry in firsts if entry[1].key == key), None)
    return mine is not None and any(
        entry[0] < mine[0] and entry[1].stream == mine[1].stream and entry[1].sequence > mine[1].sequence
        for entry in firsts
    )


def lateness(ledger, hop, key, limit_ns):
    """Return "late", "undecided" or None."""
    seen = seen_at(ledger, hop, key)
    if not seen or limit_ns is None or seen[0].seen_wall_ns <= seen[0].event_ns + limit_ns:
        return None
    if "not_before_ns" not in seen[0].attributes:
        return "late"
    return "late" if seen[0].attributes["not_before_ns"] > seen[0].event_ns + limit_ns else "undecided"


def is_unsaid(ledger, hop, key):
    told = [seen for seen in ledger.observations(hop) if seen.key == key]
    return any(seen.outcome in (Outcome.UNKNOWN, Outcome.REFUSED) for seen in told)


def is_marked(ledger, hop, key):
    stream, _, number = key.rpartition("/")
    marks = [seen for seen in ledger.observations(hop) if seen.outcome is Outcome.MARKED and seen.stream == stream]
    return any(mark.sequence <= int(number) <= mark.attributes.get("last", mark.sequence) for mark in marks)


def need_not_be(ledger, journeys, hop, key, told):
    """Tell whether a key that was not seen is excused at its hop, or all its records are by the hops before.

    `told` says whether a hop itself excuses a key.
    """
    if seen_at(ledger, hop, key):
        return False
    if told(ledger, hop, key):
        return True
    mine = [journey for journey in journeys for stage in journey.stages if stage.hop == hop and key in stage.keys]
    return all(excused_before(ledger, journeys, journey, hop, told) for journey in mine)


def excused_before(ledger, journeys, journey, hop, told):
    excused = False
    for stage in journey.stages:
        if stage.hop == hop:
            break
        missing = [key for key in stage.keys if not seen_at(ledger, stage.hop, key)]
        if not missing:
            excused = False
        elif any(need_not_be(ledger, journeys, stage.hop, key, told) for key in missing):
            excused = True
    return excused


def is_unknown(ledger, journeys, hop, key):
    return need_not_be(ledger, journeys, hop, key, is_unsaid)


def is_omitted(ledger, journeys, hop, key, guarantee):
    return guarantee is Guarantee.BEST_EFFORT and need_not_be(ledger, journeys, hop, key, is_marked)


def kinds_at(ledger, journeys, hop, key, limit_ns, guarantee):
    seen = seen_at(ledger, hop, key)
    kinds = set()
    excused = is_unknown(ledger, journeys, hop, key) or is_omitted(ledger, journeys, hop, key, guarantee)
    if not seen and not excused:
        kinds.add("missing")
    if len(seen) > 1 and guarantee is not Guarantee.AT_LEAST_ONCE:
        kinds.add("duplicate")
    wrong = wrong_content(ledger, journeys, hop, key)
    if wrong is not None:
        kinds.add("altered" if wrong == "altered" else "swapped")
    if is_disordered(ledger, journeys, hop, key):
        kinds.add("order")
    if lateness(ledger, hop, key, limit_ns) == "late":
        kinds.add("late")
    return kinds


def first_bad_hop(ledger, journeys, journey: Journey, limit_ns, guarantee):
    for stage in journey.stages:
        stage: Stage
        if any(kinds_at(ledger, journeys, stage.hop, key, limit_ns, guarantee) for key in stage.keys):
            return stage.hop
    return None
