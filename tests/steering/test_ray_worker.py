"""What a worker refuses, in this process."""

import pytest

from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.steering import ray_worker
from steergauge.steering.engines import EngineChoice, EngineName
from steergauge.steering.ray_worker import Load, NoRoomError, Worker, package_versions


def load(model: Model) -> Load:
    return Load(
        model=model.name,
        precision=model.precision,
        template=model.template.source,
        fingerprint=model.fingerprint,
        device="cpu",
        engine=EngineChoice(EngineName.TORCH, ""),
        wave_rows=4,
        max_new_tokens=5,
        memory=0,
        versions=package_versions(),
    )


def test_a_worker_of_another_package_is_refused(phantom_model: Model) -> None:
    other = {**package_versions(), "transformers": "4.0.0"}
    with pytest.raises(SteergaugeError, match=r"transformers is .* there and 4\.0\.0 where the study runs"):
        Worker().start(load(phantom_model)._replace(versions=other), 1)


def test_a_worker_with_other_weights_is_refused(phantom_model: Model) -> None:
    with pytest.raises(SteergaugeError, match="another model there"):
        Worker().start(load(phantom_model)._replace(fingerprint="other"), 1)


def test_a_device_with_too_little_memory_is_told_before_the_model_is_loaded(
    phantom_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_worker, "free_memory", lambda _: 3 << 30)
    with pytest.raises(NoRoomError, match=r"3\.0 GiB are free"):
        Worker().start(load(phantom_model)._replace(device="cuda", memory=4 << 30), 1)
