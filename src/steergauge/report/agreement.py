"""Agreement between readers, for the terminal."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from steergauge.statistics.agreement import Agreement, Estimate
from steergauge.studies.agreement import LABELS, CorrectedRate, StoreAgreement


def render_scores(scores: Mapping[str, Agreement], console: Console, truth: str) -> None:
    """Each reader's κ, per-class precision and recall with 95% intervals, and confusion.

    A row is a class in truth; the last three columns count how the reader read it.
    """
    for name, score in scores.items():
        console.print(
            f"[bold]{name}[/bold]  κ {estimate(score.kappa)}, accuracy {estimate(score.accuracy)}, n = {score.n}",
            highlight=False,
        )
        table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
        for column in (truth, "precision", "recall", *LABELS):
            table.add_column(column, justify="right" if column != truth else "left", no_wrap=True)
        for label in LABELS:
            row = score.classes[label]
            counts = (str(score.confusion[label][said]) for said in LABELS)
            table.add_row(label, estimate(row.precision), estimate(row.recall), *counts)
        console.print(table)


def render_store_agreement(found: StoreAgreement, console: Console) -> None:
    """People against themselves, each other and every judge."""
    for rater, score in found.steadiness.items():
        console.print(
            f"{rater}, second time against first: κ {estimate(score.kappa)}, n = {score.n}", highlight=False
        )
    for (one, other), score in found.between.items():
        console.print(f"{other} against {one}: κ {estimate(score.kappa)}, n = {score.n}", highlight=False)
    if found.between:
        console.print(f"All raters: Krippendorff's α {estimate(found.alpha)}", highlight=False)
    render_scores(found.judges, console, "people")


def render_corrected(rates: Sequence[CorrectedRate], console: Console) -> None:
    """Each condition's rate of coherent refusal by each judge, as judged and corrected."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("condition", "judge", "judged refusal", "corrected"):
        table.add_column(column, justify="left" if column in ("condition", "judge") else "right")
    for rate in rates:
        table.add_row(
            _short(rate.condition),
            rate.judge,
            f"{round(rate.refusals, 1):g} of {rate.n}",
            estimate(rate.corrected),
        )
    console.print(table)


def _short(condition: str) -> str:
    """A model's fingerprint, its steering and a temperature, out of the store's long form."""
    model, _, rest = condition.partition(" ")
    steering, end = json.JSONDecoder().raw_decode(rest)
    decoding = json.loads(rest[end:])
    sampled = f", T = {decoding['temperature']:g}" if "temperature" in decoding else ""
    return f"{model[:8]} {_steering_words(steering)}{sampled}"


def _steering_words(steering: Mapping[str, Any]) -> str:
    """The first block and the largest coefficient, where there are any."""
    if steering["operation"] == "none":
        return "unsteered"
    along = f"{steering['vector'][:8]}, {steering['operation']}"
    if "coefficients" not in steering:  # of heads
        return along
    return f"{along} {max(steering['coefficients'], key=abs):g} from block {steering['first_block']}"


def estimate(one: Estimate) -> str:
    """A number with its interval, to two places; a dash where it is undefined."""
    if one.value != one.value:  # NaN
        return "–"
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"
