"""Settings that all studies share and one does not use: refused, not ignored."""

from collections.abc import Collection

from steergauge.studies.study_settings import StudySettings


def refuse_unused(settings: StudySettings, keys: Collection[str]) -> None:
    """Refuses keys that were given and would change nothing.

    Args:
        settings: of the study.
        keys: of the study or of one of its models.

    Raises:
        ValueError: naming them.
    """
    given = settings.model_fields_set.union(*(model.model_fields_set for model in settings.models))
    if unused := sorted(given.intersection(keys)):
        raise ValueError(f"a {settings.study} study does not use {', '.join(unused)}")
