"""A study as one self-contained HTML page."""

from typing import Any, NamedTuple

from steergauge.report import figures, words
from steergauge.report.figures import Chart
from steergauge.report.html import embedded, group, output_rows, rates_words
from steergauge.report.standalone import standalone_page
from steergauge.report.study_figures import study_chart
from steergauge.report.study_words import cell_words
from steergauge.studies.study_result import ColumnKind, Matrix, StudyResult


class Drawn(NamedTuple):
    """A figure ready for the page: a chart, or a matrix."""

    chart: Chart | None
    matrix: Matrix | None


def study_page(result: StudyResult) -> str:
    """The whole page."""
    return standalone_page(
        "study.html.jinja",
        script="page.js",
        result=result,
        words=words,
        figures=figures,
        drawn=drawn(result),
        cell_words=cell_words,
        text=ColumnKind.TEXT,
        level=level,
        outputs=embedded(_outputs(result)),
    )


def drawn(result: StudyResult) -> list[Drawn]:
    """Every figure of a study, ready for a page."""
    return [
        Drawn(None, one) if isinstance(one, Matrix) else Drawn(study_chart(one), None)
        for one in result.figures
    ]


def level(value: float | None) -> str:
    """The class that colours a matrix's cell."""
    return "" if value is None else f"level-{round(10 * min(max(value, 0.0), 1.0))}"


def _outputs(result: StudyResult) -> dict[str, Any]:
    """Every output of every gauge as page.js reads it, grouped by gauge, the controls first."""
    groups: dict[str, dict[str, str]] = {}
    prompts: dict[str, str] = {}
    rows: list[list[object]] = []
    for name, gauge in result.gauges.items():
        by_id = {condition.id: condition for condition in gauge.conditions}
        for generation in gauge.generations:
            own = f"{name}: {generation.condition}"
            if own not in groups:
                condition = by_id.get(generation.condition)
                title = words.condition_words(condition) if condition else generation.condition
                rated = condition or (gauge.unsteered if generation.condition == "unsteered" else None)
                said = rates_words(rated.refusal.rate, rated.garbled.rate) if rated else ""
                groups[own] = {**group(own, title, said, name), "control": f"{name}: unsteered"}
            prompts.setdefault(generation.prompt, generation.category)
        group_at = {
            own.removeprefix(f"{name}: "): at for at, own in enumerate(groups) if own.startswith(f"{name}: ")
        }
        prompt_at = {prompt: index for index, prompt in enumerate(prompts)}
        rows += output_rows(gauge.generations, group_at, prompt_at)
    return {
        "best": None,
        "groups": list(groups.values()),
        "prompts": [{"text": text, "category": category, "half": ""} for text, category in prompts.items()],
        "outputs": rows,
    }
