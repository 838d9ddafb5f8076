"""Calibration passes on this machine, and fails when the instrument is off."""

import numpy as np
import pytest

from steergauge.directions.extract import read_contrast
from steergauge.errors import InstrumentError
from steergauge.steering.intervention import Intervention
from steergauge.studies.calibrate import Calibration, calibrate


def test_every_known_answer_is_found() -> None:
    found = calibrate("cpu")
    assert len(found) == 8
    assert [one.name for one in found if not one.passed] == []
    assert all("30 of 30" in one.detail for one in found if "flip" in one.name)


def test_a_dose_that_is_off_by_one_percent_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = Intervention.__init__

    def off(self: Intervention, steerings: list[object], device: str) -> None:
        exact(self, steerings, device)  # type: ignore[arg-type]
        self._offsets *= 1.01

    monkeypatch.setattr(Intervention, "__init__", off)
    monkeypatch.setattr("steergauge.studies.calibrate._verdict", lambda *_: _passed())
    failed = [one for one in calibrate("cpu") if not one.passed]
    assert len(failed) == 6
    assert all("flip" in one.name for one in failed)


def test_a_dose_that_is_off_does_not_pass_the_checks_before_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = Intervention.__init__

    def off(self: Intervention, steerings: list[object], device: str) -> None:
        exact(self, steerings, device)  # type: ignore[arg-type]
        self._offsets *= 1.01

    monkeypatch.setattr(Intervention, "__init__", off)
    with pytest.raises(InstrumentError, match="moved otherwise than the dose asked"):
        calibrate("cpu")


def test_a_reader_that_is_off_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    read, rng = read_contrast, np.random.default_rng(0)

    def noisy(*arguments: object) -> object:
        found = read(*arguments)  # type: ignore[arg-type]
        for readings in found:
            readings[...] += rng.normal(size=readings.shape)
        return found

    monkeypatch.setattr("steergauge.studies.calibrate.read_contrast", noisy)
    monkeypatch.setattr("steergauge.studies.calibrate._flips", lambda *_: _passed())
    monkeypatch.setattr("steergauge.studies.calibrate._verdict", lambda *_: _passed())
    assert [one.passed for one in calibrate("cpu")] == [False] + [True] * 7


def _passed() -> Calibration:
    return Calibration("another", True, "")
