"""Statements about the protocol: what was counted, and by which rules."""

from steergauge.prompts import study_contrast_set, study_evaluation_set
from steergauge.statistics.comparisons import adjust_holm
from steergauge.statistics.power import paired_power, unpaired_power
from steergauge.statistics.proportions import wilson_interval
from steergauge.studies.audit.check import Check, Checker, listed, share
from steergauge.studies.audit.comparisons import LEVEL, due_test
from steergauge.studies.audit.finding import Stands, interval_words, p_words, tolerance
from steergauge.studies.published import Concludes, Published, PublishedRate


def _models_counted(study: Published) -> Check:
    count = len(study.models)
    return Check(
        f"{count} in its table",
        agrees=str(count) == study.statement("models-counted").published,
        values={"models": count},
    )


def _contrast_pairs(study: Published) -> Check:
    pairs = len(study_contrast_set().positive)
    return Check(
        f"{pairs} pairs in appendix A",
        agrees=str(pairs) == study.statement("contrast-pairs").published,
        meaning="ten prompts, five a class: a direction of so few carries their topics too",
        values={"pairs": pairs},
    )


def _fifty_prompts(study: Published) -> Check:
    listed_prompts = len(study_evaluation_set().prompts)
    repeated = [rate for rate in study.rates if rate.n == 50]
    tens = sum(rate.coherent % 10 == 0 for rate in repeated)
    full, seen = wilson_interval(50, 50), wilson_interval(10, 10)
    return Check(
        f"{listed_prompts} prompts listed",
        agrees=str(listed_prompts) == study.statement("fifty-prompts").published,
        n=50,
        prompts=10,
        due=f"{share(tens, len(repeated))} rates with n = 50 are multiples of ten points, as 10 prompts × 5 repeats give",
        meaning=f"a full house is {interval_words(*seen)}, not {interval_words(*full)}",
        values={"prompts": listed_prompts, "multiples_of_ten": tens, "rates": len(repeated)},
    )


def _thirty_unless_noted(study: Published) -> Check:
    silent = [rate for rate in study.rates if rate.place in ("§5.3", "§5.4", "§5.6")]
    fifty = [rate for rate in silent if rate.n == 50]
    return Check(
        f"{share(len(fifty), len(silent))} have n = 50",
        agrees=not fifty,
        n=50,
        prompts=10,
        due="the tables of §5.3, §5.4 and §5.6 print no n; appendix B gives it",
        meaning="a reader takes ten prompts for thirty; the abstract's n = 30 holds for 32B, not for 3B and 14B",
        values={"fifty": len(fifty), "rates": len(silent)},
    )


def _attainable(study: Published) -> Check:
    wrong = [
        rate.id
        for rate in study.rates
        for printed in (rate.coherent, rate.garbled, rate.normal)
        if printed is not None and not _is_count(float(printed), tolerance(printed), rate)
    ]
    return Check(
        f"{share(len(study.rates) - len(wrong), len(study.rates))} rates are",
        agrees=not wrong,
        due=listed(wrong),
        values={"wrong": len(wrong)},
    )


def _is_count(printed: float, within: float, rate: PublishedRate) -> bool:
    return any(
        abs(100 * round(printed * n / 100) / n - printed) <= within + 1e-9 for n in (rate.n, rate.prompts)
    )


def _tiers(study: Published) -> Check:
    whole = [rate for rate in study.rates if rate.garbled is not None and rate.normal is not None]
    sums = {rate.id: rate.coherent + (rate.garbled or 0) + (rate.normal or 0) for rate in whole}
    wrong = [name for name, total in sums.items() if abs(total - 100) > 0.15]  # three roundings of .05
    return Check(
        f"{share(len(whole) - len(wrong), len(whole))} do",
        agrees=not wrong,
        due=listed(wrong),
        values={"wrong": len(wrong)},
    )


def _depth_labels(study: Published) -> Check:
    pairs = [
        (rate, block, depth)
        for rate in study.rates
        for block, depth in zip(rate.blocks, rate.depth, strict=False)
    ]
    wrong = [rate.id for rate, block, depth in pairs if not _is_depth(study, rate, block, depth)]
    return Check(
        f"{share(len(pairs) - len(wrong), len(pairs))} labels are",
        agrees=not wrong,
        due=listed(wrong),
        meaning="L is int(depth × N); COSMIC's own layers are rounded the other way, to the percent",
        values={"wrong": len(wrong)},
    )


def _is_depth(study: Published, rate: PublishedRate, block: int, depth: int) -> bool:
    blocks = study.model(rate.model).blocks
    return block == depth * blocks // 100 or round(100 * block / blocks) == depth


def _baseline_precision(study: Published) -> Check:
    label = study.rate("quant-32b-fp16").precision
    used = study.model("qwen-32b").precision
    return Check(
        f"{used} in the table of models",
        agrees=label == used,
        meaning="a bfloat16 baseline rounds away more of a dose than float16 does",
    )


def _shown_outputs(study: Published) -> Check:
    models: dict[str, set[str]] = {}
    for example in study.examples:
        models.setdefault(example.opening, set()).add(f"{study.model(example.model).name} L{example.block}")
    shared = [sorted(names) for names in models.values() if len(names) > 1]
    return Check(
        f"{len(shared)} opening shown for two models",
        agrees=not shared,
        due=listed([" and ".join(names) for names in shared]),
        meaning="two models seldom write the same sentence; one of the two may be misattributed",
        values={"shared": len(shared)},
    )


def _sliding_window(study: Published) -> Check:
    uses = study.model("mistral-7b").sliding_window
    return Check(
        "yes" if uses else "no: null in the public configuration of v0.3",
        agrees=uses is True,
        meaning="it was part of v0.1; the architectural hypothesis for the failure loses its mechanism",
    )


def _rater_margin(study: Published) -> Check:
    claimed = _claimed_differences(study)
    points = {name: abs(float(one.coherent - other.coherent)) for name, one, other in claimed}
    small = {name: value for name, value in points.items() if value < 30}
    return Check(
        f"{share(len(small), len(points))} are under 30",
        agrees=not small,
        due=listed([f"{name} {value:g}" for name, value in small.items()]),
        meaning="a single rater's doubtful cases matter to those",
        values=points,
    )


def _large_effects(study: Published) -> Check:
    one, other = study.rate("scale-3b").distinct, study.rate("scale-32b-n50").distinct
    test = due_test(one, other)
    intervals = wilson_interval(*one), wilson_interval(*other)
    overlap = intervals[1].high > intervals[0].low
    return Check(
        f"{interval_words(*intervals[0])} and {interval_words(*intervals[1])}",
        stands=Stands.YES if test.significant else Stands.NO,
        n=50,
        prompts=one.n,
        due=f"{test.words}; on distinct prompts the intervals {'overlap' if overlap else 'are apart'}",
        meaning="100% against 0% does survive",
        values={"p_low": test.low, "p_high": test.high},
    )


def _multiple_comparisons(study: Published) -> Check:
    """Holm over all differences that the text claims, each at the pairing that favours it most."""
    claimed = _claimed_differences(study)
    raw = {name: due_test(one.distinct, other.distinct).low for name, one, other in claimed}
    adjusted = dict(zip(raw, adjust_holm(list(raw.values())), strict=True))
    lost = [name for name in raw if raw[name] <= LEVEL < adjusted[name]]
    never = [name for name in raw if raw[name] > LEVEL]
    kept = [name for name in raw if adjusted[name] <= LEVEL]
    return Check(
        f"{share(len(kept), len(raw))} survive Holm",
        stands=Stands.NO if lost or never else Stands.YES,
        due=f"not significant on distinct prompts even uncorrected: {listed(never) or 'none'}; lost to the "
        f"correction: {listed([f'{name} ({p_words(raw[name])} → {p_words(adjusted[name])})' for name in lost]) or 'none'}",
        meaning="each was given the pairing of prompts that favours it most",
        values=adjusted,
    )


def _claimed_differences(study: Published) -> list[tuple[str, PublishedRate, PublishedRate]]:
    return [
        (comparison.id, study.rate(comparison.first), study.rate(comparison.second))
        for comparison in study.comparisons
        if comparison.concludes is Concludes.DIFFER
    ]


def _plan_power(study: Published) -> Check:
    """The power of 10 and of 30 distinct prompts for 20 points, unpaired around 50% and paired at best."""
    power = {f"unpaired_{n}": unpaired_power(0.6, 0.4, n) for n in (10, 30, 50)}
    power |= {f"paired_{n}": paired_power(0.2, 0.0, n) for n in (10, 30, 50)}
    words = "; ".join(
        f"{n} prompts: {100 * power[f'unpaired_{n}']:.0f}% unpaired, {100 * power[f'paired_{n}']:.0f}% paired"
        for n in (10, 30, 50)
    )
    return Check(
        f"power {100 * power['unpaired_10']:.0f}% on 10 prompts",
        stands=Stands.NO,
        n=50,
        prompts=10,
        due=words,
        meaning="paired: at best, when no prompt changes the other way; 20 points between 40% and 60%",
        values=power,
    )


CHECKS: dict[str, Checker] = {
    "models-counted": _models_counted,
    "contrast-pairs": _contrast_pairs,
    "fifty-prompts": _fifty_prompts,
    "thirty-unless-noted": _thirty_unless_noted,
    "attainable": _attainable,
    "tiers": _tiers,
    "depth-labels": _depth_labels,
    "baseline-precision": _baseline_precision,
    "shown-outputs": _shown_outputs,
    "sliding-window": _sliding_window,
    "rater-margin": _rater_margin,
    "large-effects": _large_effects,
    "multiple-comparisons": _multiple_comparisons,
    "plan-power": _plan_power,
}
