"""The streaming checkers written as plainly as possible, record by record: what they must agree with.

A history is a list of observations in the order in which they came in, of all hops together. Each function returns what
is wrong and what was checked, by hop.
"""

from itertools import pairwise

from fullspan.invariants import Guarantee
from fullspan.ledger import Outcome

MENTIONED = (Outcome.SEEN, Outcome.MARKED, Outcome.UNKNOWN)


def record(observation):
    return observation.stream, observation.sequence


def of(history, hop, outcome=Outcome.SEEN):
    return [seen for seen in history if seen.hop == hop and seen.outcome is outcome]


def there(history, hop, outcome=Outcome.SEEN):
    covered = set()
    for told in of(history, hop, outcome):
        last = told.attributes.get("last", told.sequence) if outcome is Outcome.MARKED else told.sequence
        covered |= {(told.stream, number) for number in range(told.sequence, last + 1)}
    return covered


def is_first(history, place):
    one = history[place]  # within a hop a key names one record
    return not any(
        other.key == one.key and other.hop == one.hop and other.outcome is Outcome.SEEN for other in history[:place]
    )


def places(history, hop):
    return [place for place, seen in enumerate(history) if seen.hop == hop and seen.outcome is Outcome.SEEN]


def firsts(history, hop):
    return [place for place in places(history, hop) if is_first(history, place)]


def nothing(hops):
    return dict.fromkeys(hops, 0), dict.fromkeys(hops, 0)


def no_loss(history, hops, guarantee, expected=None):
    wrong, checked = nothing(hops)
    named = {(stream, number) for stream, (low, high) in (expected or {}).items() for number in range(low, high + 1)}
    seen, marks, unknown = ({hop: there(history, hop, kind) for hop in hops} for kind in MENTIONED)
    refused = {hop: there(history, hop, Outcome.REFUSED) for hop in hops}
    for one in {record(observed) for observed in history} | named:
        due = one in named if expected is not None else one in seen[hops[0]]
        excused = marked = False
        for hop in hops:
            if one in seen[hop]:
                excused = marked = False
            else:
                excused = excused or one in unknown[hop] or one in refused[hop]
                marked = marked or one in marks[hop]
            if due and not excused and (hop != hops[0] or expected is not None):
                checked[hop] += 1
                allowed = marked and guarantee is Guarantee.BEST_EFFORT
                wrong[hop] += one not in seen[hop] and not allowed
            if expected is None and one in seen[hop] and one in unknown[hops[0]]:
                due = True
    return wrong, checked


def no_duplicate(history, hops, guarantee):
    wrong, checked = nothing(hops)
    for hop in hops:
        checked[hop] = len(there(history, hop))
        if guarantee is not Guarantee.AT_LEAST_ONCE:
            wrong[hop] = len(of(history, hop)) - checked[hop]
    return wrong, checked


def no_invention(history, hops):
    wrong, checked = nothing(hops)
    sent = there(history, hops[0]) | there(history, hops[0], Outcome.UNKNOWN)
    for hop in hops[1:]:
        checked[hop] = len(there(history, hop))
        wrong[hop] = len(there(history, hop) - sent)
    return wrong, checked


def order(history, hops):
    wrong, checked = nothing(hops)
    for hop in hops:
        came = [history[place] for place in firsts(history, hop)]
        checked[hop] = len(came)
        for number, seen in enumerate(came):
            ahead = [other for other in came[:number] if other.stream == seen.stream]
            wrong[hop] += any(other.sequence > seen.sequence for other in ahead)
    return wrong, checked


def gap_free(history, hops, guarantee):
    wrong, checked = nothing(hops)
    for hop in hops:
        seen = there(history, hop)
        checked[hop] = len(seen)
        said = there(history, hop, Outcome.UNKNOWN) | there(history, hop, Outcome.REFUSED)
        if guarantee is Guarantee.BEST_EFFORT:
            said |= there(history, hop, Outcome.MARKED)
        for stream in {stream for stream, _ in seen}:
            numbers = [number for of_stream, number in seen if of_stream == stream]
            for number in range(min(numbers), max(numbers)):
                wrong[hop] += (stream, number) not in seen | said
    return wrong, checked


def integrity(history, hops, tolerance):
    wrong, checked = nothing(hops)

    def first_before(hop, one, end):
        told = (seen for seen in history[:end] if seen.hop == hop and seen.outcome is Outcome.SEEN)
        return next((seen for seen in told if record(seen) == one), None)

    for place, seen in enumerate(history):
        if seen.hop not in hops or seen.outcome is not Outcome.SEEN:
            continue
        if tolerance is not None and seen.deviation is not None:
            checked[seen.hop] += 1
            wrong[seen.hop] += not seen.deviation <= tolerance
        if seen.digest is None:
            continue
        at = hops.index(seen.hop)
        if at > 0:
            before = first_before(hops[at - 1], record(seen), place)
            if before is not None and before.digest is not None:
                checked[seen.hop] += 1
                wrong[seen.hop] += before.digest != seen.digest
        if at + 1 < len(hops) and is_first(history, place):
            after = first_before(hops[at + 1], record(seen), place)
            if after is not None and after.digest is not None:
                checked[hops[at + 1]] += 1
                wrong[hops[at + 1]] += after.digest != seen.digest
    return wrong, checked


def freshness(history, hops, limit):
    """Return also whether some record is undecided."""
    wrong, checked = nothing(hops)
    undecided = False
    for hop in hops:
        for seen in (history[place] for place in firsts(history, hop)):
            if not seen.event_ns:
                continue
            late = seen.seen_wall_ns - seen.event_ns > limit
            absent = seen.attributes.get("not_before_ns")
            if late and absent is not None and absent - seen.event_ns <= limit:
                undecided = True
                continue
            checked[hop] += 1
            wrong[hop] += late
    return wrong, checked, undecided


def watermark(history, hops):
    wrong, checked = nothing(hops)
    for hop in hops:
        for place in places(history, hop):
            seen = history[place]
            stood = [
                history[other].attributes["watermark_ns"]
                for other in places(history, hop)
                if other < place and history[other].stream == seen.stream
                if "watermark_ns" in history[other].attributes
            ]
            mine = seen.attributes.get("watermark_ns")
            first = is_first(history, place)
            checked[hop] += mine is not None or (bool(stood) and first)
            fell = bool(stood) and mine is not None and mine < max(stood)
            behind = bool(stood) and first and seen.event_ns and seen.event_ns < max(stood)
            wrong[hop] += bool(fell or behind)
    return wrong, checked


def conservation(history, hops, guarantee, by_stream):
    wrong, checked = nothing(hops)

    def amounts(hop):
        chosen = firsts(history, hop) if guarantee is Guarantee.AT_LEAST_ONCE else places(history, hop)
        return [history[place] for place in chosen if "amount" in history[place].attributes]

    groups = sorted({seen.stream for seen in history}) if by_stream else [None]
    for hop in hops:
        checked[hop] = len(amounts(hop))
    for before, hop in pairwise(hops):
        for group in groups:
            had, has = (
                sum(seen.attributes["amount"] for seen in amounts(at) if group in (None, seen.stream))
                for at in (before, hop)
            )
            open_ = [
                seen.attributes["amount"]
                for seen in of(history, hops[0], Outcome.UNKNOWN)
                if before == hops[0] and "amount" in seen.attributes and group in (None, seen.stream)
            ]
            low, high = sum(min(0, one) for one in open_), sum(max(0, one) for one in open_)
            wrong[hop] += not had + low <= has <= had + high
    return wrong, checked


def shown_stale(history, hops, limit, grace):
    wrong, checked = nothing(hops)
    for hop in hops:
        for seen in of(history, hop):
            if seen.event_ns:
                checked[hop] += 1
                age, stale = seen.seen_wall_ns - seen.event_ns, seen.attributes.get("stale", False)
                wrong[hop] += age < limit - grace if stale else age > limit + grace
    return wrong, checked


def bounded_recovery(history, hops, faults, within, fresh):
    """Return also whether some hop saw nothing when some fault should have been recovered from."""
    wrong, checked = nothing(hops)
    blind = False
    for fault in faults:
        due = fault.healed_mono_ns + within
        others = [other for other in faults if other is not fault]
        end = min([other.injected_mono_ns for other in others if other.injected_mono_ns > due], default=None)
        hidden = any(o.injected_mono_ns <= due and o.healed_mono_ns > fault.healed_mono_ns for o in others)
        for hop in hops:
            judged = [
                history[place]
                for place in firsts(history, hop)
                if history[place].event_ns and not hidden
                if history[place].seen_ns >= due and (end is None or history[place].seen_ns < end)
            ]
            checked[hop] += len(judged)
            wrong[hop] += sum(seen.seen_wall_ns - seen.event_ns > fresh for seen in judged)
            blind = blind or not judged
    return wrong, checked, blind
