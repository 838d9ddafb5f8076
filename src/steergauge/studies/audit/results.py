"""The audit of a user's own table: repeats, wrong tests, uncorrected comparisons, the best of a sweep."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from steergauge.statistics.cluster import cluster_bootstrap_interval
from steergauge.statistics.comparisons import (
    adjust_benjamini_hochberg,
    adjust_holm,
    compare_paired,
)
from steergauge.statistics.proportions import wilson_interval
from steergauge.statistics.selection import Optimism, optimism_from_counts, optimism_from_outcomes
from steergauge.statistics.splitting import split_prompts
from steergauge.statistics.unpaired import Count, fisher_p_value
from steergauge.studies.audit.check import listed, share
from steergauge.studies.audit.comparisons import LEVEL, due_interval, due_test
from steergauge.studies.audit.finding import (
    Audit,
    Finding,
    Stands,
    agrees,
    interval_words,
    p_words,
    sorted_audit,
    tolerance,
)
from steergauge.studies.audit.table import CountRow, OutputTable, read_table

# Up to so many conditions every pair is compared; of more, each with the first.
ALL_PAIRS = 10
# An optimism under this is not worth a second set of prompts.
NEGLIGIBLE = 0.02
_REPEATED = (
    "outputs of one prompt are not independent; under greedy decoding they are the same: count distinct "
    "prompts, or with sampling resample by prompt"
)


def audit_file(path: Path) -> Audit:
    """Audits a CSV of results, of the two forms that docs/audit.md documents.

    Raises:
        SteergaugeError: the file cannot be used, with its line.
    """
    table = read_table(path)
    found = _audit_outputs(table) if isinstance(table, OutputTable) else _audit_counts(table)
    return sorted_audit(path.name, found)


# ---- One row a condition ----


def _audit_counts(rows: Sequence[CountRow]) -> list[Finding]:
    by_name = {row.name: row for row in rows}
    compared = [(row, by_name[row.against]) for row in rows if row.against is not None]
    found = [_count(row) for row in rows] + [_comparison(row, other) for row, other in compared]
    if len(compared) > 1:
        p_values = {f"{row.name} against {other.name}": _due_p(row, other) for row, other in compared}
        found.append(_correction(p_values))
    sweeps: defaultdict[str, list[CountRow]] = defaultdict(list)
    for row in rows:
        sweeps[row.sweep].append(row)
    for sweep, members in sweeps.items():
        prompts = min(_distinct(row).n for row in members)
        if len(members) > 1:
            counts = [round(row.successes * prompts / row.n) for row in members]
            best = max(members, key=lambda row: row.successes / row.n)
            found.append(_selection(sweep, best.name, prompts, optimism_from_counts(counts, prompts), ""))
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
    meaning = _REPEATED if repeated else ""
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


# ---- One row an output ----


def _audit_outputs(table: OutputTable) -> list[Finding]:
    sampled = {
        name
        for name, prompts in table.outcomes.items()
        if any(len(set(seen)) > 1 for seen in prompts.values())
    }
    found = [_outputs(name, prompts, name in sampled) for name, prompts in table.outcomes.items()]
    once = {
        name: {prompt: seen[0] for prompt, seen in prompts.items()}
        for name, prompts in table.outcomes.items()
        if name not in sampled
    }
    if sampled:
        found.append(_not_compared(sampled))
    if len(once) > 1:
        found += _compared(once)
    sweeps: defaultdict[str, list[str]] = defaultdict(list)
    for name in once:
        if not name.rpartition(" ")[2].startswith(("unsteered", "random-")):  # the controls of a gauge
            sweeps[table.models[name]].append(name)
    found += [
        _selected(sweep, {name: once[name] for name in names})
        for sweep, names in sweeps.items()
        if len(names) > 1 and all(once[name].keys() == once[names[0]].keys() for name in names)
    ]
    return found


def _outputs(name: str, prompts: Mapping[str, list[bool]], sampled: bool) -> Finding:
    n, successes = sum(map(len, prompts.values())), sum(map(sum, prompts.values()))
    counted = wilson_interval(successes, n)
    repeated = n > len(prompts)
    if sampled:
        due, method = cluster_bootstrap_interval(prompts), "cluster bootstrap by prompt"
    else:
        due, method = wilson_interval(sum(seen[0] for seen in prompts.values()), len(prompts)), "Wilson"
    return Finding(
        id=f"rate/{name}",
        place="outputs",
        claim=f"{name}: {successes}/{n}",
        published="",
        recomputed=interval_words(*counted),
        stands=Stands.NO if repeated else Stands.YES,
        n=n,
        prompts=len(prompts),
        due=f"{method} over {len(prompts)} distinct prompts: {interval_words(*due)}",
        meaning=_REPEATED if repeated else "",
        values={"low": counted.low, "high": counted.high, "distinct_low": due.low, "distinct_high": due.high},
    )


def _not_compared(sampled: set[str]) -> Finding:
    return Finding(
        id="sampled",
        place="outputs",
        claim=f"Several samples a prompt: {listed(sorted(sampled))}",
        published="",
        recomputed="not compared",
        stands=Stands.NO_DATA,
        due="a test on each prompt’s share of successes, such as Wilcoxon’s signed-rank test",
        meaning="left out of the comparisons and the sweep below",
    )


def _compared(outcomes: Mapping[str, Mapping[str, bool]]) -> list[Finding]:
    names = list(outcomes)
    pairs = (
        list(combinations(names, 2)) if len(names) <= ALL_PAIRS else [(name, names[0]) for name in names[1:]]
    )
    pairs = [(one, other) for one, other in pairs if outcomes[one].keys() == outcomes[other].keys()]
    found, p_values = [], {}
    for one, other in pairs:
        paired = compare_paired(outcomes[one], outcomes[other])
        counts = [Count(sum(outcomes[name].values()), len(outcomes[name])) for name in (one, other)]
        p_values[f"{one} against {other}"] = paired.p_value
        found.append(
            Finding(
                id=f"comparison/{one}/{other}",
                place="outputs",
                claim=f"{one} against {other}",
                published="",
                recomputed=f"{counts[0].successes}/{counts[0].n} against {counts[1].successes}/{counts[1].n}",
                n=counts[0].n,
                prompts=counts[0].n,
                due=f"McNemar: p = {p_words(paired.p_value)}, {paired.gained} gained, {paired.lost} lost; difference "
                f"{100 * paired.low:+.0f} to {100 * paired.high:+.0f} points",
                values={"p": paired.p_value, "low": paired.low, "high": paired.high},
            )
        )
    return [*found, _correction(p_values)] if len(p_values) > 1 else found


# ---- Both ----


def _correction(p_values: Mapping[str, float]) -> Finding:
    raw = list(p_values.values())
    holm = dict(zip(p_values, adjust_holm(raw), strict=True))
    rate = dict(zip(p_values, adjust_benjamini_hochberg(raw), strict=True))
    significant = [name for name, value in p_values.items() if value <= LEVEL]
    lost = [name for name in significant if holm[name] > LEVEL]
    kept = len(significant) - len(lost)
    false_discoveries = sum(value <= LEVEL for value in rate.values())
    return Finding(
        id="correction",
        place="all lines",
        claim=f"{len(raw)} comparisons",
        published="",
        recomputed=f"{len(significant)} have p ≤ {LEVEL}",
        stands=Stands.NO if lost else Stands.YES,
        due=f"Holm keeps {share(kept, len(significant))}, Benjamini–Hochberg {false_discoveries}"
        + (f"; lost: {listed(lost)}" if lost else ""),
        meaning="correct for every comparison that was looked at, not only for those reported"
        if lost
        else "",
        values=holm,
    )


def _selected(sweep: str, conditions: Mapping[str, Mapping[str, bool]]) -> Finding:
    """The optimism of the best condition, and its rate on prompts that took no part in choosing it."""
    prompts = list(next(iter(conditions.values())))
    best = max(conditions, key=lambda name: sum(conditions[name].values()))
    held_out = ""
    if len(prompts) > 1:
        choosing, reporting = split_prompts(prompts, seed=0)
        chosen = max(conditions, key=lambda name: sum(conditions[name][prompt] for prompt in choosing))
        count = Count(sum(conditions[chosen][prompt] for prompt in reporting), len(reporting))
        interval = wilson_interval(*count)
        held_out = f"chosen on one half ({chosen}), the other half gives {count.successes}/{count.n} {interval_words(*interval)}; "
    return _selection(sweep, best, len(prompts), optimism_from_outcomes(list(conditions.values())), held_out)


def _selection(sweep: str, best: str, prompts: int, found: Optimism, held_out: str) -> Finding:
    return Finding(
        id=f"sweep/{sweep}" if sweep else "sweep",
        place="all lines",
        claim=f"Best of {found.conditions} conditions{f' of {sweep}' if sweep else ''}: {best}",
        published="",
        recomputed=f"{100 * found.best:.1f}%",
        stands=Stands.NO if found.optimism >= NEGLIGIBLE else Stands.YES,
        prompts=prompts,
        due=f"{held_out}expected excess of the best: {100 * found.optimism:.1f} points",
        meaning="if you report the best, choose it on one half of the prompts and report the other half’s rate",
        values={"best": found.best, "optimism": found.optimism},
    )
