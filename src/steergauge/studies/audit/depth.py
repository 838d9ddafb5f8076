"""Statements about depth and the choice of a layer."""

from steergauge.statistics.optimism import optimism_from_counts
from steergauge.studies.audit.check import Check, Checker, listed
from steergauge.studies.audit.comparisons import due_test
from steergauge.studies.audit.finding import Stands
from steergauge.studies.published import Published


def _best_of_sweep(study: Published) -> Check:
    """Each depth sweep's best rate, and what choosing it adds on average."""
    found = {}
    for key in ("qwen-3b", "qwen-7b", "qwen-14b", "qwen-32b", "gemma-2b", "gemma-9b"):
        cells = [rate for rate in study.rates if rate.place == "§5.3" and rate.model == key]
        prompts = min(rate.prompts for rate in cells)
        counts = [round(rate.coherent * prompts / 100) for rate in cells]
        found[key] = optimism_from_counts(counts, prompts)
    words = listed([f"{key} {100 * one.optimism:.1f}" for key, one in found.items()])
    return Check(
        f"up to {100 * max(one.optimism for one in found.values()):.0f} points too high on average",
        stands=Stands.NO if any(one.optimism >= 0.02 for one in found.values()) else Stands.YES,
        due=f"choose on one half of the prompts, report on the other; expected excess in points: {words}",
        meaning="largest where layers tie, as for 14B",
        values={key: one.optimism for key, one in found.items()},
    )


def _depth_shift(study: Published) -> Check:
    """Whether the best depth beats the other candidate depth, model by model."""
    pairs = {"3b": ("60", "50"), "7b": ("60", "50"), "14b": ("50", "60"), "32b": ("50", "60")}
    tests = {
        key: due_test(study.rate(f"depth-{key}-{best}").distinct, study.rate(f"depth-{key}-{other}").distinct)
        for key, (best, other) in pairs.items()
    }
    clear = [key for key, test in tests.items() if test.significant]
    tied = [
        key
        for key, (best, other) in pairs.items()
        if study.rate(f"depth-{key}-{best}").coherent == study.rate(f"depth-{key}-{other}").coherent
    ]
    return Check(
        f"tied at {listed(tied)}; best depth clear at {listed(clear) or 'none'}",
        agrees=not tied,
        stands=Stands.YES if len(clear) == len(pairs) else Stands.UNDECIDED,
        prompts=10,
        due="; ".join(f"{key} {test.words.partition(': ')[2]}" for key, test in tests.items()),
        meaning="14B has 90% at both depths; a best depth needs more prompts than ten",
        values={key: test.low for key, test in tests.items()},
    )


def _two_thirds(study: Published) -> Check:
    near = {key: study.rate(f"depth-{key}-70") for key in ("3b", "7b")}
    return Check(
        f"at 70%: 3B {near['3b'].coherent}%, 7B {near['7b'].coherent}%; both 100% at 60%",
        stands=Stands.YES if all(rate.coherent >= 60 for rate in near.values()) else Stands.NO,
        due="67% itself was not tested; the depths beside it are 60% and 70%",
        meaning="7B fails at 70%, as the section says itself",
    )


def _norm_range(study: Published) -> Check:
    norms = [
        study.norm(model, block) for model, block in (("gemma-2b", 7), ("gemma-2b", 10), ("gemma-9b", 16))
    ]
    beyond = study.norm("gemma-2b", 13)
    return Check(
        f"{min(norms):.0f}–{max(norms):.0f}; {beyond:.0f} at Gemma 2B, 50% depth",
        agrees=f"{min(norms):.0f}–{max(norms):.0f}" == study.statement("norm-range").published,
        meaning="at 25× these norms are 1.0 to 0.3 separations: 27B at 353 had 0.07, the smallest dose of all",
        values={"low": min(norms), "high": max(norms), "separations_27b": 25 / study.norm("gemma-27b", 13)},
    )


CHECKS: dict[str, Checker] = {
    "best-of-sweep": _best_of_sweep,
    "depth-shift": _depth_shift,
    "two-thirds": _two_thirds,
    "norm-range": _norm_range,
}
