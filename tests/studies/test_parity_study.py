"""The parity study on the phantom, where what each direction does is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from steergauge.activations import hooks
from steergauge.activations.activations import Capture
from steergauge.activations.backends import BACKENDS
from steergauge.activations.faults import no_chat_template
from steergauge.directions.dim import difference_in_means
from steergauge.directions.extract import read_contrast
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.prompts import study_contrast_set, study_evaluation_set
from steergauge.report.parity_figure import sources
from steergauge.steering.engine import Decoding, Request
from steergauge.steering.steering import Steering
from steergauge.steering.torch_engine import TorchEngine
from steergauge.store import Store
from steergauge.studies.parity import parity
from steergauge.studies.parity_result import FaultRecord, ParityResult, Visibility
from steergauge.studies.parity_settings import ParitySettings
from steergauge.studies.run import Runner, Silent
from steergauge.studies.tool_readings import ToolReadings

PROMPTS = [prompt.text for prompt in study_evaluation_set().prompts]
BLOCK, DOSE = 3, 3.0  # refuses all thirty, garbles none
SETTINGS = ParitySettings(depths=(0.5,), dose=DOSE, max_new_tokens=12)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parity") / "steergauge.db"


@pytest.fixture(scope="module")
def result(phantom_model: Model, store: Path) -> ParityResult:
    return parity(phantom_model, SETTINGS, store=store)


@pytest.mark.parametrize("name", ["int8-torchao", "gguf-q4_0"])
def test_a_quantized_model_is_refused(
    name: str, quantized_model: Callable[[str], Model], tmp_path: Path
) -> None:
    with pytest.raises(SteergaugeError, match=f"are in {name}: use --precision float32"):
        parity(quantized_model(name), SETTINGS, store=tmp_path / "steergauge.db")


@pytest.fixture
def faults(result: ParityResult) -> dict[str, FaultRecord]:
    return {fault.name: fault for fault in result.faults}


def test_the_right_direction_refuses_what_the_closed_form_says(
    result: ParityResult, phantom: Phantom
) -> None:
    (right,) = result.reference
    expected = sum(
        phantom.refusal_dose(prompt, BLOCK) < DOSE < phantom.garbling_dose(prompt, BLOCK)
        for prompt in PROMPTS
    )
    assert (right.block, right.dose, right.outputs.refusal.count) == (BLOCK, DOSE, expected)
    assert right.plain_hooks_equal
    assert right.plain_hooks_equal.count == right.plain_hooks_equal.n == 30
    assert result.unsteered.refusal.count == 0
    assert right.against_unsteered.gained == 30


def test_every_backend_is_there_and_one_that_is_not_installed_names_its_extra(result: ParityResult) -> None:
    assert [one.name for one in result.backends] == [name for name in BACKENDS if name != "hooks"]
    for one in result.backends:
        if one.outcome == "error":
            assert "pip install 'steergauge[" in one.reason
            assert one.at == []
        else:
            assert one.outcome == "supported"
            assert min(cosine for cosine in one.cosines if cosine is not None) > 1 - 1e-6
            assert [at.outputs.refusal.count for at in one.at if at.outputs] == [30]
    assert result.backends[0].at[0].same_outputs


def test_a_fault_s_numbers_are_those_of_its_readings(
    phantom_model: Model, faults: dict[str, FaultRecord]
) -> None:
    contrast = study_contrast_set()

    def difference(capture: Capture) -> NDArray[np.float32]:
        positive, negative = (
            capture(phantom_model, some).at(-1) for some in (contrast.positive, contrast.negative)
        )
        return np.asarray(positive[:, BLOCK].mean(axis=0) - negative[:, BLOCK].mean(axis=0))

    right, wrong = difference(hooks.capture), difference(no_chat_template)
    (found,) = faults["no chat template"].at
    cosine = right @ wrong / (np.linalg.norm(right) * np.linalg.norm(wrong))
    assert found.cosine == pytest.approx(cosine, abs=1e-5)
    assert found.norm_ratio == pytest.approx(np.linalg.norm(wrong) / np.linalg.norm(right), rel=1e-5)
    assert faults["no chat template"].cosines[BLOCK] == found.cosine


def test_only_row_0_of_thirty_is_refused_where_output_0_is_steered(
    result: ParityResult, faults: dict[str, FaultRecord]
) -> None:
    (found,) = faults["first row steered"].at
    assert found.outputs
    assert found.outputs.refusal.count == 1
    refused = [
        one.prompt
        for one in result.generations
        if one.condition == found.outputs.condition and one.label == "refusal"
    ]
    assert refused == PROMPTS[:1]
    assert (found.visibility, found.study_gap, found.cosine) == (Visibility.BEHAVIOUR, True, None)
    assert found.against_reference
    assert found.against_reference.lost == 29
    assert found.against_reference.p_value == pytest.approx(2 * 0.5**29)


def test_where_a_fault_shows_is_what_the_phantom_predicts(faults: dict[str, FaultRecord]) -> None:
    shows = {name: fault.at[0].visibility for name, fault in faults.items()}
    assert shows["first token"] is Visibility.NO_DIRECTION  # the same BOS in every prompt
    assert shows["first row only"] is Visibility.COSINE  # its topic is not averaged out
    assert shows["prompt only"] is Visibility.HARMLESS  # it decides at the first token
    assert faults["off-by-one block"].at[0].same_outputs  # block 3 writes nothing
    assert faults["final-normed block"].at[0].same_outputs
    assert faults["final-normed block"].cosines[-1] == pytest.approx(0.9477, abs=1e-3)
    assert faults["first token"].at[0].outputs is None
    assert all(fault.error is None and fault.impossible is None for fault in faults.values())


def test_p_is_corrected_over_the_faults_that_were_generated_for(faults: dict[str, FaultRecord]) -> None:
    generated = [one for fault in faults.values() for one in fault.at if one.outputs and not one.same_outputs]
    found = faults["first row steered"].at[0].against_reference
    assert found
    assert found.p_adjusted == pytest.approx(len(generated) * found.p_value)


def test_every_output_is_there_once_a_condition_that_was_generated(result: ParityResult) -> None:
    frame = result.generations_to_pandas()
    counts = frame.groupby("condition").size()
    assert set(counts) == {30}
    shown = {result.unsteered.condition, *(one.outputs.condition for one in result.reference)}
    steered = [one for _, at in sources(result) for one in at]
    shown |= {one.outputs.condition for one in steered if one.outputs}
    assert set(counts.index) == shown | {"plain-hooks-block3"}
    assert result.provenance.generations == len(frame)
    assert ParityResult.model_validate_json(result.to_json()).faults == result.faults


def test_a_second_run_makes_nothing_and_finds_the_same(
    phantom_model: Model, result: ParityResult, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Store, "add", lambda self, setting, made: pytest.fail("it made generations") if made else None
    )
    again = parity(phantom_model, SETTINGS, store=store)
    varying = {"started": "", "seconds": 0.0}
    assert again.provenance.model_copy(update=varying) == result.provenance.model_copy(update=varying)
    assert (again.faults, again.backends, again.generations) == (
        result.faults,
        result.backends,
        result.generations,
    )


def test_equal_steerings_share_their_address_with_other_studies(
    phantom_model: Model, result: ParityResult, store: Path
) -> None:
    contrast = study_contrast_set()
    direction = difference_in_means(
        hooks.capture(phantom_model, contrast.positive).at(-1),
        hooks.capture(phantom_model, contrast.negative).at(-1),
    )
    values = np.where(np.arange(len(phantom_model.blocks)) >= BLOCK, DOSE, 0.0)
    steering = Steering(direction.vectors[BLOCK], values, BLOCK)
    with Store(store) as opened:
        runner = Runner(phantom_model, TorchEngine(phantom_model), opened, 64, Silent())
        runner.run("again", [Request(prompt, steering, Decoding(12)) for prompt in PROMPTS])
    assert runner.made_now == 0


def test_without_faults_only_tools_are_compared(phantom_model: Model, store: Path) -> None:
    result = parity(phantom_model, SETTINGS.model_copy(update={"faults": False}), store=store)
    assert result.faults == []
    assert result.reference[0].plain_hooks_equal is None
    assert len(result.backends) == 4


def test_the_default_dose_is_a_tenth_of_the_residual_norm_in_two_digits(
    phantom_model: Model, tmp_path: Path
) -> None:
    settings = ParitySettings(depths=(0.5, 0.99), faults=False, max_new_tokens=2)
    result = parity(phantom_model, settings, store=tmp_path / "steergauge.db")
    norms = hooks.measure_baseline(phantom_model, PROMPTS).residual_norms
    assert [one.block for one in result.reference] == [3, 5]
    for one in result.reference:
        assert one.dose == float(f"{0.1 * norms[one.block]:.2g}")
        assert one.relative_dose == pytest.approx(one.dose / norms[one.block])


def test_a_block_whose_classes_do_not_differ_does_not_spoil_the_others(phantom_model: Model) -> None:
    read = ToolReadings(*read_contrast(phantom_model, study_contrast_set(), hooks.capture))
    flat = type(read)(read.positive.copy(), read.negative.copy())
    flat.positive[:, 0] = flat.negative[:, 0] = 1.0
    assert flat.cosines(read)[0] is None
    assert flat.cosines(read)[1] == pytest.approx(1.0)
    assert np.array_equal(flat.vector(1), read.vector(1))
    with pytest.raises(Exception, match="the two classes do not differ"):
        flat.vector(0)
