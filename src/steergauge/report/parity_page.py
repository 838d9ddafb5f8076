"""A parity study as one self-contained HTML file."""

from pathlib import Path
from typing import Any

from steergauge.atomic import replacing
from steergauge.report import parity_figure, parity_words, words
from steergauge.report.html import embedded, group, output_rows, rates_words
from steergauge.report.parity_figure import sources
from steergauge.report.standalone import standalone_page
from steergauge.report.words import place
from steergauge.studies.parity_result import Outputs, ParityResult


def write_parity_html(result: ParityResult, path: Path | str) -> None:
    """Writes the page. Equal results give equal bytes."""
    with replacing(Path(path)) as partial:
        partial.write_text(parity_page(result), encoding="utf-8", newline="\n")


def parity_page(result: ParityResult) -> str:
    """The whole page."""
    return standalone_page(
        "parity.html.jinja",
        script="page.js",
        words=words,
        result=result,
        said=parity_words,
        figure=parity_figure,
        plot=parity_figure.dot_plot(result),
        outputs=embedded(outputs(result)),
    )


def outputs(result: ParityResult) -> dict[str, Any]:
    """Every generation as page.js reads it, grouped by block, the control first."""
    groups = _groups(result)
    for generation in result.generations:  # the control of the steering faults has no record of its own
        if generation.condition not in groups:
            heading = _heading(result, generation.block or 0)
            groups[generation.condition] = group(generation.condition, generation.method, "", heading)
    group_at = {name: index for index, name in enumerate(groups)}
    categories = {generation.prompt: generation.category for generation in result.generations}
    prompt_at = {prompt: index for index, prompt in enumerate(result.protocol.prompts)}
    return {
        "best": None,
        "groups": list(groups.values()),
        "prompts": [
            {"text": prompt, "category": categories.get(prompt, ""), "half": ""} for prompt in prompt_at
        ],
        "outputs": output_rows(result.generations, group_at, prompt_at),
    }


def _groups(result: ParityResult) -> dict[str, dict[str, str]]:
    groups = {"unsteered": group("unsteered", "Unsteered", _rates(result.unsteered), "Controls")}
    for one in result.reference:
        heading = _heading(result, one.block)
        groups[one.outputs.condition] = group(
            one.outputs.condition, "Right direction, read with hooks", _rates(one.outputs), heading
        )
        for source, steered in sources(result):
            for at in steered:
                if at.block == one.block and at.outputs and not at.same_outputs:
                    name = at.outputs.condition
                    groups[name] = group(name, source, _rates(at.outputs), heading)
    return groups


def _heading(result: ParityResult, block: int) -> str:
    return place(block, block / result.model.blocks).capitalize()


def _rates(outputs: Outputs) -> str:
    return rates_words(outputs.refusal.rate, outputs.garbled.rate)
