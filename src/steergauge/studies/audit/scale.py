"""Statements about scale, dose and thresholds."""

from itertools import pairwise

from steergauge.statistics.trend import exact_trend_p_value
from steergauge.statistics.unpaired import Count, fisher_p_value
from steergauge.studies.audit.check import Check, Checker, listed, share
from steergauge.studies.audit.comparisons import LEVEL, due_test
from steergauge.studies.audit.finding import Stands, p_words
from steergauge.studies.published import Published, PublishedRate, Source

_TABLE = ("scale-3b", "scale-7b", "scale-14b", "scale-32b-n50")
# The same models, blocks and multiplier, on the 30 prompts, from the authors' later runs.
_LATER = ("self-3b", "self-7b", "self-14b-15", "self-32b-15")
# The same, each at the best multiplier tried.
_BEST_DOSE = ("self-3b", "self-7b", "self-14b-10", "self-32b-15")
# The rate that stands for each model: its best block.
_BEST = (
    "scale-3b",
    "scale-7b",
    "scale-14b",
    "scale-32b",
    "scale-gemma-2b",
    "scale-gemma-9b",
    "scale-gemma-27b",
    "architecture-mistral",
)


def _trend(study: Published, ids: tuple[str, ...]) -> float:
    counts = [study.rate(id_).distinct for id_ in ids]
    return exact_trend_p_value([count.successes for count in counts], [count.n for count in counts])


def _rates(study: Published, ids: tuple[str, ...]) -> list[float]:
    return [float(study.rate(id_).coherent) for id_ in ids]


def _percent(rates: list[float]) -> str:
    return " / ".join(f"{rate:g}" for rate in rates) + "%"


def _falls(rates: list[float]) -> bool:
    return all(later <= earlier for earlier, later in pairwise(rates))


def _headline_runs(study: Published) -> Check:
    later = _rates(study, _LATER)
    return Check(
        _percent(later),
        agrees=_percent([round(rate) for rate in later]) == study.statement("headline-runs").published,
        n=30,
        prompts=30,
        due="the later runs on 30 prompts; 3B’s 100% and 14B’s 90% are of 10 prompts × 5",
        meaning="at the time only 7B and 32B were measured on 30 prompts",
        values=dict(zip(_LATER, later, strict=True)),
    )


def _monotone(study: Published) -> Check:
    table, later = _rates(study, _TABLE), _rates(study, _LATER)
    found = _trend(study, _TABLE), _trend(study, _LATER)
    return Check(
        f"{_percent(table)}; later runs, 30 prompts: {_percent(later)}",
        stands=Stands.YES if _falls(table) and _falls(later) else Stands.NO,
        n=50,
        prompts=10,
        due=f"Cochran–Armitage, exact, on 10 prompts: p = {p_words(found[0])}; on the later 30: "
        f"p = {p_words(found[1])}",
        meaning="a decline over the four sizes at 15× is there; that each step goes down is not",
        values={
            "p_table": found[0],
            "p_later": found[1],
        },
    )


def _decline_starts(study: Published) -> Check:
    best, same = study.rate("self-14b-10"), study.rate("self-14b-15")
    full = study.rate("self-7b").distinct
    test = due_test(full, best.distinct)
    return Check(
        f"14B at 10×: {best.coherent}%, {best.garbled}% garbled; at 15×: {same.coherent}%, {same.garbled}% garbled",
        stands=Stands.NO if not test.significant else Stands.YES,
        n=30,
        prompts=30,
        due=f"7B against 14B, each at the best dose tried: {test.words}",
        meaning="at 15× 14B garbles: it has too much of the dose, not too little steerability",
        values={"p_low": test.low, "p_high": test.high},
    )


def _equal_dose(study: Published) -> Check:
    """α/‖Δ‖ and the sum of what is added, at each model's best block: what one multiplier comes to."""
    rates = [study.rate(id_) for id_ in _TABLE]
    separations = [float(rate.dose) / study.norm(rate.model, rate.blocks[0]) for rate in rates]
    totals = [(study.model(rate.model).blocks - rate.blocks[0]) * float(rate.dose) for rate in rates]
    return Check(
        f"{' / '.join(f'{value:.2f}' for value in separations)} class separations",
        stands=Stands.YES if max(separations) < 1.25 * min(separations) else Stands.NO,
        due=f"α/‖Δ‖ for 3B / 7B / 14B / 32B; sum over the steered blocks {' / '.join(f'{total:g}' for total in totals)}",
        meaning="the dose falls with size just as the rate does, so scale and dose cannot be told apart here",
        values={f"separations_{rate.model}": value for rate, value in zip(rates, separations, strict=True)}
        | {f"total_{rate.model}": total for rate, total in zip(rates, totals, strict=True)},
    )


def _trend_best_dose(study: Published) -> Check:
    found = _trend(study, _BEST_DOSE)
    return Check(
        f"at the best dose tried: {_percent(_rates(study, _BEST_DOSE))}",
        stands=Stands.YES if found <= LEVEL else Stands.UNDECIDED,
        n=30,
        prompts=30,
        due=f"Cochran–Armitage, exact: p = {p_words(found)}; 3B and 7B at one dose, 14B and 32B at four",
        meaning="what is left of the trend is one model, 32B, in one family",
        values={"p": found},
    )


def _bimodal(study: Published) -> Check:
    table = [rate for rate in study.rates if rate.source is Source.PAPER and rate.place.startswith("§5")]
    between = {(rate.model, rate.blocks, rate.dose, rate.method, rate.precision): rate for rate in table}
    between = {key: rate for key, rate in between.items() if 10 < rate.coherent < 90}
    others = [rate.id for rate in between.values() if rate.model != "qwen-32b"]
    best = [id_ for id_ in _BEST if 10 < study.rate(id_).coherent < 90]
    return Check(
        f"{len(between)} conditions between, {len(others)} not of Qwen 32B",
        agrees=not others,
        due=f"{listed(others)}; of the best blocks alone: {listed(best)}",
        meaning="true of each model's best block, which was chosen for being high; not of the rates",
        values={"between": len(between), "not_32b": len(others), "best_between": len(best)},
    )


def _any_threshold(study: Published) -> Check:
    best = [study.rate(id_) for id_ in _BEST]
    alike = {frozenset(rate.id for rate in best if rate.coherent >= threshold) for threshold in range(11, 60)}
    table = [rate for rate in study.rates if rate.source is Source.PAPER and rate.place.startswith("§5")]
    inside = sorted({float(rate.coherent) for rate in table if 11 <= rate.coherent <= 59})
    edge = study.rate("scale-32b-n50").distinct
    return Check(
        f"best blocks: {'alike' if len(alike) == 1 else 'not alike'}; all conditions: not, with rates of "
        f"{', '.join(f'{rate:g}' for rate in inside)}%",
        agrees=len(alike) == 1,
        stands=Stands.NO if inside else Stands.YES,
        n=50,
        prompts=edge.n,
        due=f"the threshold is 60%, and 32B has {edge.successes}/{edge.n} on one prompt set: just there",
        meaning="it holds for the eight chosen rates; a threshold that was set after seeing them cannot fail",
        values={"classifications": len(alike), "rates_inside": len(inside)},
    )


def _prompt_sets(study: Published) -> Check:
    ten, thirty = study.rate("scale-32b-n50").distinct, study.rate("scale-32b").distinct
    rest = Count(thirty.successes - ten.successes, thirty.n - ten.n)
    p_value = fisher_p_value(ten, rest)
    return Check(
        f"{ten.successes}/{ten.n} on the first ten, {rest.successes}/{rest.n} on the other twenty",
        stands=Stands.YES if p_value <= LEVEL else Stands.UNDECIDED,
        n=50,
        prompts=ten.n,
        due=f"Fisher between the two sets: p = {p_words(p_value)}",
        meaning="the ten are among the thirty; chance makes such a gap readily",
        values={"p": p_value},
    )


def _perfect_small(study: Published) -> Check:
    small = [
        rate for rate in study.rates if rate.source is Source.PAPER and rate.model in ("qwen-3b", "qwen-7b")
    ]
    cells = {(rate.model, rate.blocks): rate for rate in small if rate.place == "§5.3"}
    less = [
        f"{rate.model} L{rate.blocks[0]} {rate.coherent}%" for rate in cells.values() if rate.coherent < 100
    ]
    return Check(
        f"{share(len(cells) - len(less), len(cells))} in the depth table",
        agrees=not less,
        due=listed(less),
        values={"below": len(less), "cells": len(cells)},
    )


def _tolerance_small(study: Published) -> Check:
    doses = {
        rate.dose for rate in study.rates if rate.model in ("qwen-3b", "qwen-7b") and "parity" not in rate.id
    }
    return Check(
        f"only {', '.join(f'{dose}×' for dose in sorted(doses))} is published for them",
        stands=Stands.NO_DATA if len(doses) == 1 else None,
        meaning="the widths of the windows of small and large models cannot be compared",
        values={"doses": len(doses)},
    )


def _window_32b(study: Published) -> Check:
    cells = [rate for rate in study.rates if rate.id.startswith("self-32b")]
    working = [f"{rate.dose}×" for rate in cells if rate.coherent >= 60]
    return Check(
        f"{_percent([float(rate.coherent) for rate in cells])} at {', '.join(f'{rate.dose}×' for rate in cells)}",
        stands=Stands.YES if working == ["15×"] else Stands.NO,
        n=30,
        prompts=30,
        due=f"60% or more at {', '.join(working)}; none garbled",
        meaning="from the authors' later runs; a window in one model says nothing of scale without the others'",
        values={"working": len(working)},
    )


def _parameter_ratio(study: Published) -> Check:
    ratio = study.model("qwen-32b").parameters / study.model("qwen-3b").parameters
    return Check(f"{ratio:.1f} by the rounded sizes", agrees=round(ratio, -1) == 10, values={"ratio": ratio})


def _same_cell_again(study: Published) -> Check:
    first, again = study.rate("scale-14b"), study.rate("self-14b-15")
    p_value = fisher_p_value(first.distinct, again.distinct)
    garbled = study.rate("garbled-14b-50").garbled
    return Check(
        f"{again.coherent}% in the later run, {again.garbled}% garbled",
        stands=Stands.NO if p_value <= LEVEL else Stands.UNDECIDED,
        n=50,
        prompts=first.prompts,
        due=f"{_of(first)} ({garbled}% garbled) against {_of(again)}: Fisher p = {p_words(p_value)}",
        meaning="within chance, but 30 prompts and 256 tokens show more garbling than 10 prompts and 100 tokens",
        values={"p": p_value},
    )


def _of(rate: PublishedRate) -> str:
    return f"{rate.distinct.successes}/{rate.distinct.n}"


CHECKS: dict[str, Checker] = {
    "headline-runs": _headline_runs,
    "monotone": _monotone,
    "decline-starts": _decline_starts,
    "equal-dose": _equal_dose,
    "trend-best-dose": _trend_best_dose,
    "bimodal": _bimodal,
    "any-threshold": _any_threshold,
    "prompt-sets": _prompt_sets,
    "perfect-small": _perfect_small,
    "tolerance-small": _tolerance_small,
    "window-32b": _window_32b,
    "parameter-ratio": _parameter_ratio,
    "same-cell-again": _same_cell_again,
}
