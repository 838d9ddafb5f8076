"""The report of a gauge as one HTML file, and the writing of every result's."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from steergauge.atomic import replacing
from steergauge.report import figures, words
from steergauge.report.search_words import search_sentences, shown_words
from steergauge.report.stability import stability_page
from steergauge.report.standalone import standalone_page
from steergauge.report.words import UNSCORED
from steergauge.studies.result import GaugeResult, GenerationRecord
from steergauge.studies.stability import StabilityResult

# Characters that could end a script element or a line in one; JSON reads their escapes back verbatim.
_UNSAFE = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def write_html(result: GaugeResult | StabilityResult, path: Path | str) -> None:
    """Writes the page of a result. Equal results give equal bytes."""
    text = stability_page(result) if isinstance(result, StabilityResult) else page(result)
    with replacing(Path(path)) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def page(result: GaugeResult) -> str:
    """The whole page."""
    return standalone_page(
        "page.html.jinja",
        script="page.js",
        result=result,
        words=words,
        figures=figures,
        maps=figures.heat_maps(result),
        shown=shown_words(result),
        search=search_sentences(result),
        rates=figures.rates_by_dose(result),
        norms=[
            (direction, figures.norms_by_depth(result, direction))
            for direction in result.directions
            if direction.raw_norms
        ],
        outputs=embedded(outputs(result)),
    )


def outputs(result: GaugeResult) -> dict[str, Any]:
    """Every generation, grouped as the page shows them: the controls, then the conditions in their order."""
    groups = _groups(result)
    for generation in result.generations:
        groups.setdefault(
            generation.condition, group(generation.condition, generation.condition, "", "Other")
        )
    group_at = {name: index for index, name in enumerate(groups)}
    categories = {generation.prompt: generation.category for generation in result.generations}
    prompts = list(dict.fromkeys([*result.protocol.prompts, *categories]))
    prompt_at = {prompt: index for index, prompt in enumerate(prompts)}
    half = {} if result.best is None else dict.fromkeys(result.best.choosing_prompts, "choosing half")
    half |= {} if result.best is None else dict.fromkeys(result.best.reporting_prompts, "reporting half")
    return {
        "best": result.best.condition if result.best else None,
        "groups": list(groups.values()),
        "prompts": [
            {"text": prompt, "category": categories.get(prompt, ""), "half": half.get(prompt, "")}
            for prompt in prompts
        ],
        "outputs": output_rows(result.generations, group_at, prompt_at),
    }


def output_rows(
    generations: Iterable[GenerationRecord], group_at: Mapping[str, int], prompt_at: Mapping[str, int]
) -> list[list[object]]:
    """What page.js reads of each generation."""
    rows: list[list[Any]] = [
        [
            group_at[generation.condition],
            prompt_at[generation.prompt],
            generation.label or UNSCORED,
            generation.text,
            generation.evidence,
            _place(generation),
            generation.tokens,
            generation.finish,
            generation.unsteered_refused,
        ]
        for generation in generations
    ]
    return sorted(rows)


def _place(generation: GenerationRecord) -> list[int]:
    """Where the evidence stands, in code points: first and end, or nothing."""
    start, end = generation.evidence_start, generation.evidence_end
    return [] if start is None or end is None else [start, end]


def embedded(value: object) -> Markup:
    """JSON that cannot end the script element that holds it, whatever a model wrote."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_UNSAFE)
    return Markup(text)


def _groups(result: GaugeResult) -> dict[str, dict[str, str]]:
    unsteered = rates_words(result.unsteered.refusal.rate, result.unsteered.garbled.rate)
    groups = {"unsteered": group("unsteered", "Unsteered", unsteered, "Controls")}
    if result.random_control:
        for random in result.random_control.directions:
            name = f"random-{random.seed}"
            rates = rates_words(random.refusal.rate, random.garbled.rate)
            groups[name] = group(name, f"Random vector, seed {random.seed}", rates, "Controls")
    for condition in result.conditions:
        heading = f"{condition.method}, {words.place(condition.block, condition.depth)}"
        title = words.condition_words(condition)
        rates = rates_words(condition.refusal.rate, condition.garbled.rate)
        groups[condition.id] = group(condition.id, title, rates, heading)
    return groups


def group(name: str, title: str, rates: str, heading: str) -> dict[str, str]:
    """One condition in the list of outputs, under a heading."""
    return {"id": name, "title": title, "rates": rates, "heading": heading}


def rates_words(refusal: float | None, garbled: float | None) -> str:
    """A condition's rates beside its name."""
    return f"{words.percent(refusal)} coherent refusal, {words.percent(garbled)} garbled"
