"""Realistic studies: what the experiments make of gauges that were not measured, some of their outputs hostile."""

from typing import cast

from steergauge.studies.bench import Bench
from steergauge.studies.experiments.table import EXPERIMENTS
from steergauge.studies.result import GaugeResult
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.study import find_experiment, read_study
from steergauge.studies.study_result import StudyFigure, StudyResult
from steergauge.studies.study_settings import StudiedModel

from .example import HOSTILE, Behaviour, example

MODELS = {
    "qwen2.5-coder-0.5b": Behaviour(peak=0.5, strength=0.94, sensitivity=8, seed=7),
    "qwen2.5-coder-1.5b": Behaviour(peak=0.4, strength=0.8, sensitivity=5, seed=8),
    "mistral-7b-v0.3": Behaviour(peak=0.6, strength=0.1, sensitivity=9, seed=9),
}
WORD = "\x1b[31mα & 100% _of_ {it} \\end{tabular} <b>"


class InventedBench:
    """Gives each gauge that is asked for as the model's behaviour says it would come out."""

    def __init__(self) -> None:
        self.gauges: dict[str, GaugeResult] = {}

    def gauge(self, label: str, studied: StudiedModel, settings: GaugeSettings) -> GaugeResult:
        self.gauges[label] = example(
            studied.label,
            behaviour=MODELS.get(studied.name, Behaviour()),
            depths=settings.depths,
            doses=settings.doses or (0.2, 0.4, 0.8),
        )
        return self.gauges[label]


def study_example(name: str, *models: str, hostile: bool = False) -> StudyResult:
    """The built-in study of that name, over these models or those of `MODELS`; hostile: in every text."""
    named = [{"name": model, "parameters": 0.5 + at} for at, model in enumerate(models or MODELS)]
    settings = read_study(name, {"models": named})
    bench = InventedBench()
    findings = find_experiment(name).run(settings, cast("Bench", bench))
    result = StudyResult(
        **dict(findings),
        study=name,
        question=EXPERIMENTS[name].question,
        settings=settings.model_dump(mode="json"),
        gauges=bench.gauges,
        steergauge="0.1.0",
        versions={"torch": "2.9.0", "python": "3.11.7"},
        hardware={"cpu": "2 cores, x86_64", "memory": "8 GB"},
        started="2026-01-05T09:30:00Z",
        seconds=1834.0,
        made_now=2160,
    )
    return _made_hostile(result) if hostile else result


def _made_hostile(result: StudyResult) -> StudyResult:
    text = f"{HOSTILE} {WORD}"
    tables = tuple(
        table.model_copy(
            update={
                "rows": tuple(
                    {key: f"{cell} {text}" if isinstance(cell, str) else cell for key, cell in row.items()}
                    for row in table.rows
                ),
                "title": text,
                "notes": (text,),
            }
        )
        for table in result.tables
    )
    figures = tuple(
        figure.model_copy(
            update={
                "title": text,
                "series": tuple(
                    one.model_copy(update={"name": f"{text} {at}"}) for at, one in enumerate(figure.series)
                ),
            }
        )
        for figure in result.figures
        if isinstance(figure, StudyFigure)
    )
    return result.model_copy(
        update={
            "tables": tables,
            "figures": figures,
            "question": text,
            "cautions": (text,),
            "gauges": {f"{name} {text}": gauge for name, gauge in result.gauges.items()},
        }
    )
