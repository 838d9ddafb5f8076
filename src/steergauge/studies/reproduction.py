"""Every study over the models at hand, and for each of the paper's claims whether it is replicated."""

import logging
from collections.abc import Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import ConfigDict, Field, ValidationError

from steergauge.errors import InstrumentError, SteergaugeError
from steergauge.models.loading import Model
from steergauge.steering.ray_cluster import RayCluster, joined
from steergauge.store import Store, open_store
from steergauge.studies.claims import Claim, claims
from steergauge.studies.experiments.experiment import Work
from steergauge.studies.experiments.table import EXPERIMENTS
from steergauge.studies.measurements import Record
from steergauge.studies.run import Progress
from steergauge.studies.study import find_experiment, read_study, run_study
from steergauge.studies.study_result import Outcome, StudyResult

logger = logging.getLogger(__name__)

SCHEMA: Literal["steergauge.reproduction/1"] = "steergauge.reproduction/1"


class Replication(StrEnum):
    """What a run of our own says of a published claim."""

    REPLICATED = "replicated"
    NOT_REPLICATED = "not replicated"
    UNTESTABLE = "untestable here"


_REPLICATION = {
    Outcome.SUPPORTED: Replication.REPLICATED,
    Outcome.NOT_SUPPORTED: Replication.NOT_REPLICATED,
    Outcome.UNDECIDED: Replication.UNTESTABLE,
}


class Answer(Record):
    """A claim beside what was measured."""

    claim: Claim = Field(description="What the paper says.")
    replication: Replication = Field(description="By the claim's rule.")
    measured: str = Field(description="The numbers that the rule was applied to, or why there are none.")


class Reproduction(Record):
    """All studies, and the answers to the paper's claims."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_: Literal["steergauge.reproduction/1"] = Field(default=SCHEMA, alias="schema")
    models: tuple[str, ...] = Field(description="The models at hand.")
    answers: tuple[Answer, ...] = Field(description="In the paper's order.")
    studies: dict[str, StudyResult] = Field(description="Those that ran, in the paper's order.")
    not_run: dict[str, str] = Field(description="Why the others did not.")

    def to_json(self) -> str:
        """The documented JSON form (docs/json.md), without the studies: each is a result of its own."""
        return self.model_dump_json(by_alias=True, indent=2, exclude={"studies"})

    def count(self, replication: Replication) -> int:
        """How many claims have an answer."""
        return sum(answer.replication is replication for answer in self.answers)

    def to_pandas(self) -> pd.DataFrame:
        """One row a claim."""
        return pd.DataFrame(
            [
                {
                    **answer.claim.model_dump(),
                    "replication": answer.replication.value,
                    "measured": answer.measured,
                }
                for answer in self.answers
            ]
        )


def planned(changes: Mapping[str, object] | None = None) -> tuple[list[Work], dict[str, str]]:
    """What every built-in study would do, and why the others cannot run on these models.

    Args:
        changes: as `reproduce` takes them.

    Raises:
        SteergaugeError: no study could run.
    """
    work: list[Work] = []
    not_run: dict[str, str] = {}
    for name in EXPERIMENTS:
        try:
            work += find_experiment(name).plan(read_study(name, _for_study(name, changes)))
        except SteergaugeError as error:
            not_run[name] = str(error)
    _require_some(work, not_run)
    return work, not_run


def reproduce(
    changes: Mapping[str, object] | None = None,
    *,
    store: Store | Path | str = "steergauge.db",
    progress: Progress | None = None,
    models: Mapping[str, Model] | None = None,
    ray: RayCluster | str | None = None,
) -> Reproduction:
    """Runs every built-in study, in the paper's order. A study that cannot run on these models says why and is left out.

    Args:
        changes: settings that go before those of the built-in study files, such as `models`; a study takes those
            that it uses.
        store: where generations are kept and found again.
        progress: is told how it goes on.
        models: as `run_study` takes them.
        ray: a cluster that the outputs are made on, or its address; None: here.

    Raises:
        SteergaugeError: no study could run.
        InstrumentError: a check of the instrument failed: nothing that follows could be trusted.
    """
    studies: dict[str, StudyResult] = {}
    not_run: dict[str, str] = {}
    with open_store(store) as opened, joined(ray) as cluster:
        for name in EXPERIMENTS:
            try:
                settings = read_study(name, _for_study(name, changes))
                studies[name] = run_study(
                    settings, store=opened, progress=progress, models=models, ray=cluster
                )
            except InstrumentError:
                raise
            except SteergaugeError as error:
                logger.warning("study %s did not run: %s", name, error)
                not_run[name] = str(error)
    _require_some(studies, not_run)
    return answered(studies, not_run)


def collect(folder: Path) -> Reproduction:
    """The answers from studies that ran one by one, perhaps on several machines: `FOLDER/NAME/result.json` of each.

    Raises:
        SteergaugeError: a result cannot be read, is of another study than its folder says, or was read by another
            judge than the others; or there is none.
    """
    studies: dict[str, StudyResult] = {}
    not_run: dict[str, str] = {}
    for name in EXPERIMENTS:
        path = folder / name / "result.json"
        if not path.exists():
            not_run[name] = "no result of it was there"
            continue
        try:
            studies[name] = StudyResult.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            first = str(error).partition("\n")[0]
            raise SteergaugeError(
                f"{path} is no result of a study as this steergauge writes it: {first}"
            ) from None
        if studies[name].study != name:
            raise SteergaugeError(
                f"{path} is a result of the study {studies[name].study}: name its folder so"
            )
    if not studies:
        raise SteergaugeError(f"{folder} has no result of a study, such as depth/result.json")
    _require_one_judge(studies)
    return answered(studies, not_run)


def _require_one_judge(studies: Mapping[str, StudyResult]) -> None:
    judges = {
        name: study.settings["judge"]
        for name, study in studies.items()
        if "judge" not in find_experiment(name).settings.unused
    }
    if len(set(judges.values())) > 1:
        told = ", ".join(f"{name} by {judge}" for name, judge in judges.items())
        raise SteergaugeError(
            f"the studies were read by several judges ({told}): run those that differ again with --judge"
        )


def _for_study(name: str, changes: Mapping[str, object] | None) -> dict[str, object]:
    """The changes without those that a study does not use: they are meant for all that do."""
    unused = find_experiment(name).settings.unused
    return {key: value for key, value in (changes or {}).items() if key not in unused}


def _require_some(found: Collection[object], not_run: Mapping[str, str]) -> None:
    if not found:
        name, why = next(iter(not_run.items()))
        raise SteergaugeError(f"no study can run on these models; {name}: {why}")


def answered(studies: dict[str, StudyResult], not_run: dict[str, str]) -> Reproduction:
    """The paper's claims with what the studies conclude of them.

    Args:
        studies: those that ran, by name.
        not_run: the others, with the reason.
    """
    concluded = {conclusion.id: conclusion for study in studies.values() for conclusion in study.conclusions}
    answers = []
    for claim in claims().values():
        found = concluded.get(claim.id)
        if found is not None:
            replication, measured = _REPLICATION[found.outcome], found.evidence
        else:
            replication = Replication.UNTESTABLE
            measured = f"Not measured: {_why_not(claim, studies, not_run)}"
        answers.append(Answer(claim=claim, replication=replication, measured=measured))
    names = dict.fromkeys(gauge.model.name for study in studies.values() for gauge in study.gauges.values())
    return Reproduction(models=tuple(names), answers=tuple(answers), studies=studies, not_run=not_run)


def _why_not(claim: Claim, studies: Mapping[str, StudyResult], not_run: Mapping[str, str]) -> str:
    if claim.study in not_run:
        return f"the study {claim.study} could not run: {not_run[claim.study]}"
    if claim.study in studies:
        return f"the study {claim.study} had nothing to test it with"
    return f"the study {claim.study} was not run"
