"""How long a recovery may take: a profile against limits, as a finding."""

from collections.abc import Iterator, Mapping

from fullspan.invariants import Finding
from fullspan.recovery.phase import Phase
from fullspan.recovery.profile import RecoveryProfile
from fullspan.verdict import Verdict, combine

__all__ = ["check"]

_AFTER = {"injected": "the injection", "healed": "the heal"}


def check(profile: RecoveryProfile, limits: Mapping[str, Mapping[Phase, float]]) -> Finding:
    """Check that layers reached phases in time; `limits` are seconds by layer and phase.

    A phase that nobody looked for leaves the finding inconclusive. A layer need not be degraded by a fault, so that
    phase has no limit: ValueError.
    """
    if any(Phase.DEGRADED in phases for phases in limits.values()):
        raise ValueError("a layer need not be degraded by a fault; limit when it is good again instead")
    judged = list(_judge(profile, limits))
    verdict = combine(verdict for verdict, _ in judged)
    told = [said for found, said in judged if found is verdict] or ["no limit was given"]
    n = sum(found is not Verdict.INCONCLUSIVE for found, _ in judged)
    return Finding(f"recovery from {profile.name}", verdict, "; ".join(told), n)


def _judge(profile: RecoveryProfile, limits: Mapping[str, Mapping[Phase, float]]) -> Iterator[tuple[Verdict, str]]:
    for layer, phases in limits.items():
        for phase, limit_s in phases.items():
            name = f"{layer}: {phase}"
            if phase not in profile.layers.get(layer, {}):
                yield Verdict.INCONCLUSIVE, f"{name} was not looked for"
                continue
            seconds = profile.seconds(layer, phase)
            if seconds is None:
                watched_s = (profile.until_mono_ns - profile.origin_ns(phase)) / 1e9
                verdict = Verdict.FAIL if watched_s >= limit_s else Verdict.INCONCLUSIVE
                yield verdict, f"{name} never within the {watched_s:.2f} s watched, allowed are {limit_s:g} s"
                continue
            verdict = Verdict.PASS if seconds <= limit_s else Verdict.FAIL
            yield verdict, f"{name} {seconds:.2f} s after {_AFTER[phase.since]}, allowed are {limit_s:g} s"
