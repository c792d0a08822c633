"""The comparison written as plainly as possible, quadratic where that is plainer: what `reconcile` must agree with."""

from fullspan.ledger import Journey, Ledger, Stage


def seen_at(ledger: Ledger, hop: str, key: str):
    found = [(seen.seen_ns, place, seen) for place, seen in enumerate(ledger.observations(hop)) if seen.key == key]
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


def kinds_at(ledger, journeys, hop, key, limit_ns):
    seen = seen_at(ledger, hop, key)
    kinds = set()
    if not seen:
        kinds.add("missing")
    if len(seen) > 1:
        kinds.add("duplicate")
    wrong = wrong_content(ledger, journeys, hop, key)
    if wrong is not None:
        kinds.add("altered" if wrong == "altered" else "swapped")
    if is_disordered(ledger, journeys, hop, key):
        kinds.add("order")
    if lateness(ledger, hop, key, limit_ns) == "late":
        kinds.add("late")
    return kinds


def first_bad_hop(ledger, journeys, journey: Journey, limit_ns):
    for stage in journey.stages:
        stage: Stage
        if any(kinds_at(ledger, journeys, stage.hop, key, limit_ns) for key in stage.keys):
            return stage.hop
    return None
