"""Models of several families, each at its own best block and dose (paper, section 5.1)."""

from collections.abc import Mapping, Sequence

from steergauge.studies.bench import Bench
from steergauge.studies.experiments.architecture_claims import answers
from steergauge.studies.experiments.best import BEST_COLUMNS, BEST_NOTE, best_row, outcomes_figure
from steergauge.studies.experiments.comparisons import PAIR_COLUMNS, PAIRS_NOTE, compared_in_pairs
from steergauge.studies.experiments.conditions import CONDITION_COLUMNS, RATES_NOTE, cautions_of
from steergauge.studies.experiments.experiment import Work, gauge_each, gauge_work
from steergauge.studies.study_result import (
    Cell,
    Column,
    Conclusion,
    Estimate,
    Outcome,
    StudyFindings,
    StudyTable,
)
from steergauge.studies.study_settings import StudySettings

_EQUIVALENT = 0.2
_RULE = (
    "Of the pairs of models of different families. Supported: one differs by exact McNemar, Holm-corrected over all "
    f"pairs, p < .05. Not supported: none does, and each one's 95% interval lies within {_EQUIVALENT:.0%} either way. "
    "Undecided otherwise."
)


class Architecture:
    """Is steerability a matter of the model's family?"""

    settings = StudySettings

    def plan(self, settings: StudySettings) -> list[Work]:
        """A gauge a model."""
        return [gauge_work(model, "grid", settings.gauge_settings(model)) for model in settings.models]

    def run(self, settings: StudySettings, bench: Bench) -> StudyFindings:
        """Gauges every model, and compares the best conditions in pairs on the same prompts."""
        results = gauge_each(settings, bench)
        rows = [
            {**best_row(model.label, results[model.label]), "family": model.family}
            for model in settings.models
        ]
        # A model that the catalogue does not know is a family of its own, in whatever precisions.
        families = {model.label: model.family or model.name for model in settings.models}
        pairs = compared_in_pairs(results)
        model, *others = CONDITION_COLUMNS
        return StudyFindings(
            tables=(
                StudyTable(
                    name="models",
                    title="Each model at its best block and dose",
                    columns=(model, Column(key="family", title="Family"), *others, *BEST_COLUMNS),
                    rows=tuple(rows),
                    notes=(BEST_NOTE, RATES_NOTE),
                ),
                StudyTable(
                    name="pairs",
                    title="Models compared in pairs at their best, on the same prompts",
                    columns=PAIR_COLUMNS,
                    rows=tuple(pairs),
                    notes=(PAIRS_NOTE,),
                ),
            ),
            figures=(outcomes_figure("models", "Outcomes at each model's best block and dose", rows),),
            conclusions=(_conclude(pairs, families), *answers(settings.models, results)),
            cautions=cautions_of(results),
        )


def _conclude(pairs: Sequence[Mapping[str, Cell]], families: Mapping[str, str]) -> Conclusion:
    between = [row for row in pairs if families[str(row["first"])] != families[str(row["second"])]]
    different = [row for row in between if isinstance(p := row.get("p_adjusted"), float) and p < 0.05]
    alike = [row for row in between if _within(row.get("difference"))]
    outcome = Outcome.UNDECIDED
    if different:
        outcome = Outcome.SUPPORTED
    elif between and len(alike) == len(between):
        outcome = Outcome.NOT_SUPPORTED
    return Conclusion(
        claim="Models of different families differ in how steerable they are, each at its best block and dose.",
        outcome=outcome,
        rule=_RULE,
        evidence=f"{len(different)} of {len(between)} such pairs differ, {len(alike)} are alike."
        if between
        else "No two models are of different families.",
    )


def _within(difference: Cell) -> bool:
    return (
        isinstance(difference, Estimate)
        and difference.low is not None
        and difference.high is not None
        and max(-difference.low, difference.high) <= _EQUIVALENT
    )
