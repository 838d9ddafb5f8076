"""The printed intervals and half-widths, against Wilson's over outputs and over distinct prompts."""

from decimal import Decimal

from steergauge.statistics.proportions import Interval, wilson_interval
from steergauge.studies.audit.finding import Finding, Stands, agrees, interval_words, tolerance
from steergauge.studies.published import HalfWidth, Published, PublishedRate

SHARED = "a repeat under greedy decoding is the same observation: count each prompt once"


def audit_intervals(study: Published) -> list[Finding]:
    """One finding a printed interval, then one a rule of thumb."""
    printed = [_interval(rate, study) for rate in study.rates if rate.low is not None]
    return [*printed, *(_half_width(rule) for rule in study.half_widths)]


def _interval(rate: PublishedRate, study: Published) -> Finding:
    low, high = rate.low or Decimal(0), rate.high or Decimal(0)
    counted, distinct = wilson_interval(*rate.counted), wilson_interval(*rate.distinct)
    repeated = rate.prompts < rate.n
    precision = f" {rate.precision}" if rate.precision else ""
    return Finding(
        id=f"interval/{rate.id}",
        place=rate.place,
        claim=f"{study.model(rate.model).name}{precision}: 95% interval of {rate.coherent}%, n = {rate.n}",
        published=f"[{low}, {high}]",
        recomputed=interval_words(*counted),
        agrees=agrees(low, 100 * counted.low) and agrees(high, 100 * counted.high),
        tolerance=tolerance(low) if low else tolerance(high),
        stands=Stands.NO if repeated else Stands.YES,
        n=rate.n,
        prompts=rate.prompts,
        due=f"Wilson over {rate.prompts} distinct prompts: {interval_words(*distinct)}",
        meaning=SHARED if repeated else "",
        values=_ends(counted) | {f"distinct_{end}": value for end, value in _ends(distinct).items()},
    )


def _half_width(rule: HalfWidth) -> Finding:
    found = wilson_interval(round(rule.near * rule.n / 100), rule.n)
    # At 100% an interval reaches down only, so what "±" means there is how far.
    points = 100 * (found.high - found.low) / (2 if rule.near < 100 else 1)
    prompts = 10 if rule.n == 50 else rule.n
    distinct = wilson_interval(round(rule.near * prompts / 100), prompts)
    distinct_points = 100 * (distinct.high - distinct.low) / (2 if rule.near < 100 else 1)
    repeated = prompts < rule.n
    return Finding(
        id=f"half-width/{rule.n}-{rule.near}",
        place=rule.place,
        claim=f"Reach of a Wilson interval near {rule.near}%, n = {rule.n}",
        published=f"±{rule.points}",
        recomputed=f"±{points:.1f}",
        agrees=agrees(rule.points, points),
        tolerance=tolerance(rule.points),
        stands=Stands.NO if repeated else None,
        n=rule.n,
        prompts=prompts,
        due=f"over {prompts} distinct prompts: ±{distinct_points:.1f}",
        meaning=SHARED if repeated else "",
        values={"points": points, "distinct_points": distinct_points},
    )


def _ends(interval: Interval) -> dict[str, float]:
    return {"low": interval.low, "high": interval.high}
