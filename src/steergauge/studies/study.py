"""Running a study: its settings, its gauges, its findings."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from steergauge.errors import SteergaugeError, nearest
from steergauge.models.loading import Model
from steergauge.steering.ray_cluster import RayCluster, joined
from steergauge.store import Store, open_store
from steergauge.studies.bench import Bench
from steergauge.studies.experiments.experiment import Experiment
from steergauge.studies.experiments.table import EXPERIMENTS
from steergauge.studies.run import Progress
from steergauge.studies.study_file import built_in, place_in, read_study_file, study_settings
from steergauge.studies.study_result import StudyResult
from steergauge.studies.study_settings import StudySettings


def find_experiment(name: str) -> Experiment[Any]:
    """The study of a name.

    Raises:
        SteergaugeError: there is none; the nearest names are given.
    """
    if name not in EXPERIMENTS:
        raise SteergaugeError(f"no study {name!r}; {nearest(name, EXPERIMENTS)}")
    listed = EXPERIMENTS[name]
    module = import_module(f"steergauge.studies.experiments.{listed.module}")
    found: Experiment[Any] = getattr(module, listed.experiment)()
    return found


def read_study(name: str, changes: Mapping[str, object] | None = None) -> StudySettings:
    """The settings of a built-in study, or of a study file.

    Args:
        name: a study's name, or the path of a TOML file.
        changes: settings that go before those of the file.

    Raises:
        SteergaugeError: no such study or file, or a setting that is unknown or out of range.
    """
    if not name.endswith(".toml"):
        own: type[StudySettings] = find_experiment(name).settings
        return study_settings(own, built_in(name), changes=changes)
    path = Path(name)
    declared = read_study_file(path)
    if not isinstance(declared.get("study"), str):
        raise SteergaugeError(f'{path} does not say which study it is: add a line such as study = "depth"')
    try:
        of_file: type[StudySettings] = find_experiment(declared["study"]).settings
    except SteergaugeError as error:
        raise SteergaugeError(f"{place_in(path, ('study',))}{error}") from None
    return study_settings(of_file, declared, path, changes)


def run_study(
    settings: StudySettings,
    *,
    store: Store | Path | str = "steergauge.db",
    progress: Progress | None = None,
    models: Mapping[str, Model] | None = None,
    engine: str = "auto",
    tensor_parallel: int = 1,
    ray: RayCluster | str | None = None,
) -> StudyResult:
    """Runs a study over its models.

    Args:
        settings: as `read_study` returns them.
        store: where generations are kept and found again.
        progress: is told how it goes on.
        models: loaded models by the name that tables give them, which are taken in place of loading them.
        engine: what generates, as `gauge` takes it.
        tensor_parallel: devices that it splits each matrix over.
        ray: a cluster that the outputs are made on, or its address; None: here.

    Raises:
        SteergaugeError: a model, a setting or the store cannot be used; the message says why.
    """
    experiment = find_experiment(settings.study)
    with (
        open_store(store) as opened,
        joined(ray) as cluster,
    ):
        bench = Bench(
            opened,
            settings.device,
            progress,
            models,
            engine=engine,
            tensor_parallel=tensor_parallel,
            cluster=cluster,
        )
        findings = experiment.run(settings, bench)
        return StudyResult(
            **dict(findings),
            study=settings.study,
            question=EXPERIMENTS[settings.study].question,
            settings=settings.model_dump(mode="json"),
            gauges=bench.gauges,
            **bench.provenance(),
        )
