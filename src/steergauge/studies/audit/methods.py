"""Statements about extraction methods, quantisation and tools."""

from math import acos, degrees, sqrt

from steergauge.studies.audit.check import Check, Checker, listed
from steergauge.studies.audit.comparisons import due_test
from steergauge.studies.audit.finding import Stands
from steergauge.studies.published import Published, PublishedDirection


def _cosmic_never_better(study: Published) -> Check:
    """COSMIC's rate against every DIM rate at the same block and dose."""
    better = []
    for cosmic in (rate for rate in study.rates if rate.method == "COSMIC"):
        for dim in study.rates:
            same = (dim.model, dim.blocks, dim.dose) == (cosmic.model, cosmic.blocks, cosmic.dose)
            if same and dim.method == "DIM" and dim.place == "§5.3" and cosmic.coherent > dim.coherent:
                name = study.model(cosmic.model).name
                better.append(f"{name} L{cosmic.blocks[0]}: COSMIC {cosmic.coherent}%, DIM {dim.coherent}%")
    return Check(
        f"{len(better)} at the same layer" if better else "never",
        agrees=not better,
        n=50,
        prompts=10,
        due=listed(better),
        meaning="10/10 against 8/10 is within chance, but the best layer of one against the chosen one of the other hides it",
        values={"better": len(better)},
    )


def _cosmic_layer(study: Published) -> Check:
    cosmic, near, best = study.rate("cosmic-32b"), study.rate("depth-32b-70"), study.rate("dim-32b")
    same = due_test(near.distinct, cosmic.distinct)
    by_layer = best.coherent - near.coherent
    return Check(
        f"DIM itself has {near.coherent}% at L{near.blocks[0]}, beside COSMIC's L{cosmic.blocks[0]}",
        stands=Stands.NO if near.coherent == cosmic.coherent else Stands.YES,
        n=50,
        prompts=10,
        due=f"at equal layers {same.words}; {by_layer} of {best.coherent - cosmic.coherent} points are the layer's",
        meaning="the gap compares layers, not directions; the paper says that COSMIC at a chosen layer would likely match",
        values={"by_layer": float(by_layer)},
    )


def _cosine(study: Published, model: str, method: str) -> PublishedDirection:
    return next(
        one for one in study.directions if (one.model, one.method, one.against) == (model, method, "DIM")
    )


def _cosine_falls(study: Published) -> Check:
    cosines = [_cosine(study, model, "COSMIC").cosine for model in ("qwen-3b", "qwen-14b", "qwen-32b")]
    last = float(cosines[-1] or 0)
    return Check(
        f"{' / '.join(map(str, cosines))}, so {last:.2f}",
        agrees=f"{last:.2f}" == study.statement("cosine-falls").published,
        meaning="14B's rounds to 0.54; from 14B to 32B it hardly moves, and the layers compared differ",
        values={"last": last},
    )


def _angle(study: Published) -> Check:
    cosine = next(
        float(one.cosine or 0)
        for one in study.directions
        if (one.model, one.precision) == ("qwen-32b", "INT4")
    )
    angle = degrees(acos(cosine))
    return Check(
        f"{angle:.1f}°",
        agrees=round(angle) == int(study.statement("angle").published),
        values={"degrees": angle},
    )


def _angle_width(study: Published) -> Check:
    width = study.model("qwen-32b").width
    return Check(
        f"{width}: it is 32B's cosine",
        agrees=str(width) == study.statement("angle-width").published,
        meaning="3584 is the width of 7B, whose cosine is 0.972",
        values={"width": width},
    )


def _mistral_cosine(study: Published) -> Check:
    found = float(_cosine(study, "mistral-7b", "COSMIC").cosine or 0)
    spread = 1 / sqrt(study.model("mistral-7b").width)
    return Check(
        f"{found / spread:.1f} standard deviations of two random directions",
        stands=Stands.YES if found < 2 * spread else Stands.NO,
        due=f"random unit vectors of that width: 0 ± {spread:.4f}",
        values={"deviations": found / spread},
    )


def _int4_large(study: Published) -> Check:
    precise, coarse = study.rate("quant-32b-fp16"), study.rate("quant-32b-int4")
    test = due_test(precise.distinct, coarse.distinct)
    models = {rate.model for rate in study.rates if rate.precision == "INT4"}
    large = [key for key in models if study.model(key).parameters > 14]
    return Check(
        f"{len(large)} model above 14B was quantised",
        stands=Stands.YES if test.significant and len(large) > 1 else Stands.UNDECIDED,
        n=30,
        prompts=30,
        due=test.words,
        meaning="the section calls it suggestive; the abstract and the advice state it without that",
        values={"models": len(large), "p_low": test.low, "p_high": test.high},
    )


def _tooling_later(study: Published) -> Check:
    later = {
        model: {
            str(rate.coherent)
            for rate in study.rates
            if rate.place == "tool artifacts" and rate.model == model
        }
        for model in ("qwen-7b", "gemma-9b")
    }
    equal = all(len(rates) == 1 for rates in later.values())
    cosine = min(float(one.cosine or 0) for one in study.directions if one.against == "nnsight")
    return Check(
        "; ".join(f"{model}: {' / '.join(sorted(rates))}% for three tools" for model, rates in later.items()),
        stands=Stands.NO if equal else Stands.YES,
        n=30,
        prompts=30,
        due=f"the authors' later parity run: cosine of the directions {cosine}",
        meaning="at block 15 and 3×; the tools read the same direction, so the gap came from something else",
        values={"cosine": cosine},
    )


CHECKS: dict[str, Checker] = {
    "cosmic-never-better": _cosmic_never_better,
    "cosmic-layer": _cosmic_layer,
    "cosine-falls": _cosine_falls,
    "angle": _angle,
    "angle-width": _angle_width,
    "mistral-cosine": _mistral_cosine,
    "int4-large": _int4_large,
    "tooling-later": _tooling_later,
}
