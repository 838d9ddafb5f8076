"""The audit of a table with one row an output."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations

from steergauge.statistics.cluster import cluster_bootstrap_interval
from steergauge.statistics.comparisons import compare_paired
from steergauge.statistics.optimism import optimism_from_outcomes
from steergauge.statistics.proportions import wilson_interval
from steergauge.statistics.splitting import split_prompts
from steergauge.statistics.unpaired import Count
from steergauge.studies.audit.check import listed
from steergauge.studies.audit.finding import Finding, Stands, interval_words, p_words
from steergauge.studies.audit.many import REPEATED, correction, selection
from steergauge.studies.audit.table import OutputTable

# Up to so many conditions every pair is compared; of more, each with the first.
ALL_PAIRS = 10


def audit_outputs(table: OutputTable) -> list[Finding]:
    """One finding a condition, a comparison and a sweep, and one for all comparisons."""
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
    return found + _sweeps(table, once)


def _sweeps(table: OutputTable, once: Mapping[str, Mapping[str, bool]]) -> list[Finding]:
    sweeps: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for name in once:
        condition = table.conditions[name]
        if not condition.name.startswith(("unsteered", "random-")):  # the controls of a gauge
            sweeps[condition.sweep or condition.model, bool(condition.sweep)].append(name)
    return [
        _selected(sweep, declared, {name: once[name] for name in names})
        for (sweep, declared), names in sweeps.items()
        if len(names) > 1 and all(once[name].keys() == once[names[0]].keys() for name in names)
    ]


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
        stands=Stands.NO if repeated and due.high - due.low > counted.high - counted.low else Stands.YES,
        n=n,
        prompts=len(prompts),
        due=f"{method} over {len(prompts)} distinct prompts: {interval_words(*due)}" if repeated else "",
        meaning=REPEATED if repeated else "",
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
    return [*found, correction(p_values)] if len(p_values) > 1 else found


def _selected(sweep: str, declared: bool, conditions: Mapping[str, Mapping[str, bool]]) -> Finding:
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
    optimism = optimism_from_outcomes(list(conditions.values()))
    return selection(sweep, best, len(prompts), optimism, declared=declared, held_out=held_out)
