"""A study as one self-contained HTML page."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from steergauge.report import figures, html, study_tracks, words
from steergauge.report.figures import Chart
from steergauge.report.standalone import standalone_page
from steergauge.report.study_figures import has_scale, study_chart
from steergauge.report.study_tracks import Tracks
from steergauge.report.study_words import cell_parts
from steergauge.studies.study_result import OUTPUTS, ColumnKind, Matrix, StudyFigure, StudyResult, outputs_of


class Drawn(NamedTuple):
    """A figure ready for the page: one of these."""

    chart: Chart | None = None
    tracks: Tracks | None = None
    matrix: Matrix | None = None


def study_page(result: StudyResult) -> str:
    """The whole page."""
    outputs = study_outputs(result)
    return standalone_page(
        "study.html.jinja",
        script="page.js",
        result=result,
        words=words,
        drawn=drawn(result),
        **PARTS,
        opened={group["id"] for group in outputs["groups"]},
        outputs=html.embedded(outputs),
    )


def drawn(result: StudyResult) -> list[Drawn]:
    """Every figure of a study, ready for a page."""
    return [_drawn(one) for one in result.figures]


def _drawn(figure: StudyFigure | Matrix) -> Drawn:
    if isinstance(figure, Matrix):
        return Drawn(matrix=figure)
    return (
        Drawn(chart=study_chart(figure))
        if has_scale(figure)
        else Drawn(tracks=study_tracks.study_tracks(figure))
    )


def _level(value: float | None) -> str:
    return "" if value is None else f"level-{round(10 * min(max(value, 0.0), 1.0))}"


# What `study_parts.html.jinja` draws with, on whichever page.
PARTS: Mapping[str, Any] = {
    "figures": figures,
    "track_places": study_tracks,
    "cell_parts": cell_parts,
    "text": ColumnKind.TEXT,
    "level": _level,
    "outputs_key": OUTPUTS,
}


def study_outputs(result: StudyResult) -> dict[str, Any]:
    """Every output of every gauge as page.js reads it: under the gauge's label, each beside its own control."""
    groups: list[dict[str, str]] = []
    prompts: dict[str, dict[str, str]] = {}
    rows: list[list[Any]] = []
    for label, gauge in result.gauges.items():
        own = html.outputs(gauge)
        for prompt in own["prompts"]:
            prompts.setdefault(prompt["text"], {**prompt, "half": ""})  # halves differ from gauge to gauge
        prompt_at = {text: index for index, text in enumerate(prompts)}
        rows += [
            [len(groups) + group, prompt_at[own["prompts"][prompt]["text"]], *rest]
            for group, prompt, *rest in own["outputs"]
        ]
        groups += [
            {
                **group,
                "id": outputs_of(label, group["id"]),
                "title": f"{label}: {group['title']}",
                "heading": label,
                "control": outputs_of(label, "unsteered"),
            }
            for group in own["groups"]
        ]
    return {"best": None, "groups": groups, "prompts": list(prompts.values()), "outputs": rows}
