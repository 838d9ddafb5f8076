"""Numbers and conclusions as words, the same in the terminal and on the page."""

from collections import Counter

from steergauge.studies.measurements import (
    Best,
    Comparison,
    ConditionResult,
    DoseRecord,
    Rate,
    Window,
    points,
)
from steergauge.studies.result import GaugeResult, ProtocolRecord, SelectionRecord, VerdictName

NOTHING = "–"
UNSCORED = "unscored"

_DOSE = {
    "raw": "α = {}",
    "relative": "{} × R",
    "separation": "{} × ‖Δ‖",
    "clamp": "clamped to {}",
    "sigma": "{} × σ of each head",
}
_UNIT = {
    "raw": "α, added to the stream at each steered block",
    "relative": "in residual norms, α / R",
    "separation": "in class separations, α / ‖Δ‖",
    "clamp": "the component along the direction that is set",
}
_UNIT_OF = {
    ("rotate", "raw"): "α, by which a turn moves the component at each steered block",
    ("affine", "separation"): "in class separations, the component's distance from the negative mean",
}
_BLOCKS = {"one": "one block alone"}
_POSITIONS = {
    "generated": "generated tokens only",
    "after_instruction": "tokens after the instruction",
    "last": "the last prompt token and generated ones",
}


def number(value: float | None) -> str:
    """Three significant digits, without an exponent where one can be avoided."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(share: float | None) -> str:
    """A fraction of one in whole percent, which reads 0 or 100 only where it is exactly that."""
    if share is None:
        return NOTHING
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{share:.0%}"


def interval(rate: Rate) -> str:
    """The 95% interval in whole percent, short enough for a cell."""
    return f"{100 * rate.low:.0f}–{100 * rate.high:.0f}"


def rate_words(rate: Rate) -> str:
    """Counts, rate and interval."""
    apart = f", {rate.unscored} {UNSCORED}" if rate.unscored else ""
    if rate.rate is None:
        return f"not measured: no prompts{apart}"
    return f"{rate.count} of {rate.n}, {percent(rate.rate)} [{interval(rate)}%]{apart}"


def change_words(comparison: Comparison) -> str:
    """How many prompts changed, of how many, and p."""
    return (
        f"gained {comparison.gained}, lost {comparison.lost} of {comparison.n} prompts"
        + (f" ({comparison.unscored} more {UNSCORED})" if comparison.unscored else "")
        + f", exact McNemar {p_words(comparison.p_value)}"
    )


def comparison_words(comparison: Comparison) -> str:
    """A paired difference with its interval, counts and p."""
    return (
        f"{points(comparison.difference)} points "
        f"[{points(comparison.low)} to {points(comparison.high)}], {change_words(comparison)}"
    )


def cosine(value: float) -> str:
    """Two digits, which read 1 only where it is that to six."""
    shown = f"{value:.2f}"
    return ">0.99" if shown == "1.00" and value < 1 - 1e-6 else shown.replace("-", "−")


def selection_words(method: str, selection: SelectionRecord) -> str:
    """What a selecting method chose, from how many candidates, and why the others fell."""
    fell = Counter(one.fell for one in selection.candidates if one.fell)
    why = "; ".join(f"{count}: {reason}" for reason, count in fell.most_common())
    standing = len(selection.candidates) - fell.total()
    chosen = next(
        one
        for one in selection.candidates
        if (one.position, one.layer) == (selection.position, selection.layer)
    )
    scores = ", ".join(f"{name} {number(score)}" for name, score in chosen.scores.items())
    return (
        f"{method} chose token {selection.position} and block {selection.block} (its layer {selection.layer}; {scores}) "
        f"of {len(selection.candidates)} candidates, of which {standing} stood"
        + (f". The others fell ({why})." if why else ".")
    )


def left_out_words(result: GaugeResult) -> str:
    """Which prompts the rates of the best condition leave out."""
    refused, prompts = len(result.unsteered.refused_prompts), len(result.protocol.prompts)
    how_many = f"{refused} of {prompts}" if refused else "none here"
    return f"Its rates leave out the prompts that the unsteered model refuses: {how_many}."


def p_number(p_value: float | None) -> str:
    """A p-value as it is written in a table."""
    if p_value is None:
        return NOTHING
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def p_words(p_value: float) -> str:
    """A p-value as it is written in a sentence, on one line."""
    return ("p " if p_value < 0.001 else "p = ").replace(" ", "\u00a0") + p_number(p_value).replace(
        " ", "\u00a0"
    )


def dose_words(value: float, unit: str) -> str:
    """A dose in the unit that it was asked for in."""
    return _DOSE.get(unit, "{} " + unit).format(number(value))


def short_dose(dose: DoseRecord) -> str:
    """A dose for a table in which heads stand beside the stream."""
    return number(dose.value) + (" σ" if dose.unit == "sigma" else "")


def dose_heading(protocol: ProtocolRecord, unit: str) -> str:
    """What a method's doses are; and where they go, as far as it is not where the study's do."""
    if unit == "sigma":
        return "α, in standard deviations of each head, at the last token and all that is generated"
    operation = protocol.operation
    parts = [
        _UNIT_OF.get((operation, unit)) or _UNIT.get(unit, unit),
        f"operation {operation}" if operation in ("rotate", "affine") else None,
        _BLOCKS.get(protocol.blocks),
        _POSITIONS.get(protocol.positions),
    ]
    return "; ".join(part for part in parts if part)


def dose_units(dose: DoseRecord) -> list[tuple[str, str, str]]:
    """One dose in every unit: name, value, meaning."""
    return [
        ("raw", number(dose.raw), "α at the first steered block"),
        ("relative", number(dose.relative), "α / R, the median residual norm there"),
        ("separation", number(dose.separation), "α / ‖Δ‖, the distance between the classes there"),
        ("clamp", number(dose.clamp), "mean component along the direction after the first addition"),
        ("total", number(dose.total_relative), "sum over the blocks / R at the last block"),
        ("delivered", percent(dose.delivered), "of the dose survives rounding, along the direction"),
        ("lost", percent(dose.coordinates_lost), "of the coordinates lost the addition to rounding"),
        ("clipped", str(len(dose.clipped_blocks)), "blocks where a negative increment was clipped to 0"),
    ]


def dose_everywhere(dose: DoseRecord) -> str:
    """One dose in every unit, on a line."""
    units = ("raw", "relative", "separation")
    added = ", ".join(dose_words(value, unit) for unit in units if (value := getattr(dose, unit)) is not None)
    if dose.clamp is None:
        return (
            f"{added}, written by the heads of one block; total {dose_words(dose.total_relative, 'relative')}"
        )
    return (
        f"{added}, as a clamp to {number(dose.clamp)}; total {dose_words(dose.total_relative, 'relative')}; {percent(dose.delivered)} delivered, "
        f"{percent(dose.coordinates_lost)} of coordinates lost"
    )


def place(block: int, depth: float) -> str:
    """Where in the model."""
    return f"block {block} (depth {depth:.0%})"


def condition_words(condition: ConditionResult | Best) -> str:
    """What was steered, where, how much."""
    dose = dose_words(condition.dose.value, condition.dose.unit)
    return f"{condition.method}, {place(condition.block, condition.depth)}, {dose}"


def headline(result: GaugeResult) -> tuple[str, str, str]:
    """The verdict as a sentence in three parts, the middle one the conclusion."""
    name, verdict = result.model.name, result.verdict.verdict
    if verdict is VerdictName.INVALID:
        return "", "No verdict", f" on {name}: this measurement is not valid."
    if verdict is VerdictName.UNDECIDED:
        return "", "Undecided", f" whether {name} is steerable."
    return f"{name} is ", verdict.value, "."


def window_short(window: Window | None) -> str:
    """The window as a range."""
    if window is None or window.low is None or window.high is None:
        return "none"
    ends = [window.low] if window.low == window.high else [window.low, window.high]
    return dose_words(0, window.unit).replace("0", "–".join(number(end) for end in ends))


def window_words(result: GaugeResult) -> str:
    """The window in a sentence or two, with where it may go on."""
    window = result.window
    if window is None:
        return "No window: there was no condition to look for one around."
    where = place(window.block, window.block / result.model.blocks)
    reach = f"{percent(window.threshold)} coherent refusal of the prompts that the unsteered model answers"
    if window.low is None or window.high is None or not window.doses:
        return f"No dose tried at {where} reaches {reach}."
    tried = sum(1 for c in result.conditions if (c.method, c.block) == (window.method, window.block))
    run = len(window.doses)
    reaches = "reaches" if run == 1 else "reach"
    sentences = [f"At {where}, {run} of the {tried} doses tried {reaches} {reach}."]
    if window.open_below:
        sentences.append("The lowest dose tried is inside, so the window may go on below it.")
    if window.open_above:
        sentences.append("The highest dose tried is inside, so the window may go on above it.")
    return " ".join(sentences)
