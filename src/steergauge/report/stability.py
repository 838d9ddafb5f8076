"""A result of stability as words, as charts and as a page."""

from itertools import groupby
from math import comb, floor

from steergauge.directions.stability import ROBUST_COSINE, Design, Robustness
from steergauge.report import figures, words
from steergauge.report.figures import BOTTOM, LEFT, RIGHT, TOP, Chart, Line, Point, Tick
from steergauge.report.standalone import standalone_page
from steergauge.studies.stability import BlockRecord, DesignRecord, MethodRecord, StabilityResult


def cosine(value: float) -> str:
    """Three decimals, without the zero; what is below the line never reads as on it."""
    if value < ROBUST_COSINE <= round(value, 3):
        value = floor(1000 * value) / 1000
    text = f"{abs(value):.3f}"
    return ("−" if value < 0 and float(text) else "") + text.removeprefix("0")


def spread(at: BlockRecord) -> str:
    """The middle 95% of the draws."""
    return f"{cosine(at.low)} to {cosine(at.high)}"


def headline(result: StabilityResult) -> list[tuple[str, Robustness]]:
    """The verdicts, each with the methods that have it and the verb between."""
    ordered = sorted(result.methods, key=lambda method: method.verdict)
    grouped = [
        (verdict, [method.method for method in methods])
        for verdict, methods in groupby(ordered, key=lambda method: method.verdict)
    ]
    return [(f"{_listed(names)} {'is' if len(names) == 1 else 'are'}", verdict) for verdict, names in grouped]


def cautions(result: StabilityResult) -> list[str]:
    """What to know before the cosines are read."""
    designs = {design.design for method in result.methods for design in method.designs}
    positive, negative = len(result.positive), len(result.negative)
    said = ["Robust is not right: other prompts of the same flaw give the same wrong direction."]
    if any(method.verdict is Robustness.FRAGILE for method in result.methods):
        said.append("Fragile says that other prompts give another direction, not that this one does nothing.")
    if Design.BOOTSTRAP in designs:
        said.append(
            f"A resample shares its prompts with the whole set: with {positive} and {negative} prompts, classes that "
            f"do not differ have a bootstrap cosine of about {cosine(result.without_difference)} by dim in a wide "
            "stream, and about 0 in halves."
        )
    if Design.HALVES in designs:
        said.append("A half holds half the prompts: what is good as a whole can be fragile in halves.")
    said += [caution for method in result.methods for caution in _cautions_on(method, positive)]
    said += result.model.cautions
    return list(dict.fromkeys(said))


def _cautions_on(method: MethodRecord, pairs: int) -> list[str]:
    said = []
    for design in method.designs:
        ways = comb(pairs, pairs // 2) // (1 if pairs % 2 else 2)
        if design.design is Design.HALVES and design.in_pairs and ways < design.draws:
            said.append(
                f"{pairs} pairs can be halved in {ways} ways only: more prompts help, more draws do not."
            )
        if design.degenerate:
            said.append(
                f"{method.method}, {design.design}: {design.degenerate} of {design.draws} draws gave no direction and "
                f"count as −1 in the verdict ({design.reason})."
            )
    return said


def charts(result: StabilityResult) -> list[Chart]:
    """Cosine by block, one chart a method and design, all on one scale."""
    designs = [(method, design) for method in result.methods for design in method.designs]
    lowest = min(at.low for _, design in designs for at in design.blocks)
    bottom = min(0.0, floor(2 * lowest) / 2)
    return [_chart(method, design, bottom) for method, design in designs]


def _chart(method: MethodRecord, design: DesignRecord, bottom: float) -> Chart:
    blocks = len(design.blocks)

    def right(block: int) -> float:
        return round(LEFT + (RIGHT - LEFT) * (0.02 + 0.96 * (block / (blocks - 1) if blocks > 1 else 0.5)), 1)

    def up(value: float) -> float:
        return round(BOTTOM - (value - bottom) / (1 - bottom) * (BOTTOM - TOP), 1)

    points = [
        Point(
            right(at.block),
            up(at.median),
            up(at.low),
            up(at.high),
            f"block {at.block}: median {cosine(at.median)}, {spread(at)}, lowest {cosine(at.minimum)}; {at.verdict}",
        )
        for at in design.blocks
    ]
    step = max(1, -(-blocks // 8))  # at most eight labels
    return Chart(
        title=f"{method.method}, {design_words(design)}",
        x_label="block",
        x_ticks=[Tick(right(block), str(block)) for block in range(0, blocks, step)],
        y_ticks=[
            Tick(up(value), f"{value:g}".replace("-", "−"))
            for value in (bottom + 0.5 * half for half in range(round(2 * (1 - bottom)) + 1))
        ],
        lines=[Line("median cosine", "median", points, band="2.5th to 97.5th percentile")],
        threshold=up(ROBUST_COSINE),
        threshold_name=f"robust from {ROBUST_COSINE}",
    )


def design_words(design: DesignRecord) -> str:
    """What was drawn, and how."""
    return f"{design.design}, {'in pairs' if design.in_pairs else 'apart'}"


def stability_page(result: StabilityResult) -> str:
    """The whole page."""
    drawn = iter(charts(result))
    return standalone_page(
        "stability.html.jinja",
        result=result,
        words=words,
        figures=figures,
        headline=headline(result),
        cautions=cautions(result),
        methods=[(method, [(design, next(drawn)) for design in method.designs]) for method in result.methods],
        robust_cosine=ROBUST_COSINE,
        cosine=cosine,
        spread=spread,
        design_words=design_words,
    )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
