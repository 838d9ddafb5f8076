"""The audit of a table with one row a condition."""

from collections import defaultdict
from collections.abc import Sequence

from steergauge.statistics.optimism import optimism_from_counts
from steergauge.statistics.proportions import wilson_interval
from steergauge.statistics.unpaired import Count, fisher_p_value
from steergauge.studies.audit.comparisons import LEVEL, due_interval, due_test
from steergauge.studies.audit.finding import Finding, Stands, agrees, interval_words, p_words, tolerance
from steergauge.studies.audit.many import REPEATED, correction, selection
from steergauge.studies.audit.table import CountRow


def audit_counts(rows: Sequence[CountRow]) -> list[Finding]:
    """One finding a rate, a comparison and a sweep, and one for all comparisons."""
    by_name = {row.name: row for row in rows}
    compared = [(row, by_name[row.against]) for row in rows if row.against is not None]
    found = [_count(row) for row in rows] + [_comparison(row, other) for row, other in compared]
    if len(compared) > 1:
        p_values = {f"{row.name} against {other.name}": _due_p(row, other) for row, other in compared}
        found.append(correction(p_values))
    return found + _sweeps(rows)


def _sweeps(rows: Sequence[CountRow]) -> list[Finding]:
    sweeps: defaultdict[tuple[str, bool], list[CountRow]] = defaultdict(list)
    for row in rows:
        sweeps[row.sweep or row.model, bool(row.sweep)].append(row)
    found = []
    for (sweep, declared), members in sweeps.items():
        if len(members) > 1:
            prompts = min(_distinct(row).n for row in members)
            counts = [round(row.successes * prompts / row.n) for row in members]
            best = max(members, key=lambda row: row.successes / row.n)
            optimism = optimism_from_counts(counts, prompts)
            found.append(selection(sweep, best.name, prompts, optimism, declared=declared))
    return found


def _distinct(row: CountRow) -> Count:
    prompts = row.prompts or row.n
    return Count(round(row.successes * prompts / row.n), prompts)


def _count(row: CountRow) -> Finding:
    counted, distinct = wilson_interval(row.successes, row.n), wilson_interval(*_distinct(row))
    repeated = row.prompts is not None and row.prompts < row.n
    printed = row.low is not None and row.high is not None
    agree = (
        agrees(row.low, 100 * counted.low) and agrees(row.high, 100 * counted.high)
        if row.low is not None and row.high is not None
        else None
    )
    meaning = REPEATED if repeated else ""
    if row.prompts is None:
        meaning = "add a column unique_prompts: how many different prompts the n outputs come from"
    return Finding(
        id=f"rate/{row.name}",
        place=f"line {row.line}",
        claim=f"{row.name}: {row.successes}/{row.n}",
        published=f"[{row.low}, {row.high}]" if printed else "",
        recomputed=interval_words(*counted),
        agrees=agree,
        tolerance=None if row.low is None else tolerance(row.low),
        stands=Stands.NO if repeated else Stands.NO_DATA if row.prompts is None else Stands.YES,
        n=row.n,
        prompts=row.prompts,
        due=f"Wilson over {distinct_words(row)}: {interval_words(*distinct)}",
        meaning=meaning,
        values={
            "low": counted.low,
            "high": counted.high,
            "distinct_low": distinct.low,
            "distinct_high": distinct.high,
        },
    )


def distinct_words(row: CountRow) -> str:
    """How many distinct prompts, or that it was not said."""
    return f"{row.prompts} distinct prompts" if row.prompts else f"{row.n} prompts, if all are distinct"


def _due_p(row: CountRow, other: CountRow) -> float:
    return due_test(_distinct(row), _distinct(other)).low


def _comparison(row: CountRow, other: CountRow) -> Finding:
    counted = Count(row.successes, row.n), Count(other.successes, other.n)
    distinct = _distinct(row), _distinct(other)
    test, interval = due_test(*distinct), due_interval(*distinct)
    p_value = fisher_p_value(*counted)
    claimed = row.p is None or row.p <= LEVEL
    if test.significant is None:
        stands = Stands.UNDECIDED
    else:
        stands = Stands.YES if test.significant is claimed else Stands.NO
    # Of another test than Fisher's only the user's own program can say whether it was computed rightly.
    fishers = row.p is not None and "fisher" in row.test.lower()
    name = row.test or "unnamed test"
    return Finding(
        id=f"comparison/{row.name}",
        place=f"line {row.line}",
        claim=f"{row.name} against {other.name}" + (f" ({name})" if row.p is not None else ""),
        published="" if row.p is None else f"p = {row.p}",
        recomputed=f"Fisher p = {p_words(p_value)}",
        agrees=agrees(row.p, p_value) if fishers and row.p is not None else None,
        tolerance=None if row.p is None else tolerance(row.p),
        stands=stands,
        n=row.n,
        prompts=min(count.n for count in distinct),
        due=f"{test.words}; difference {100 * interval.low:+.0f} to {100 * interval.high:+.0f} points",
        meaning=""
        if "mcnemar" in row.test.lower()
        else "the same prompts on both sides are paired: use McNemar’s test, and publish which prompts succeeded",
        values={"p": p_value, "p_low": test.low, "p_high": test.high},
    )
