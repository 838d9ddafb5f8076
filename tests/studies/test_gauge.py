"""The whole gauge on the phantom, whose answers are known in closed form."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from records import PROMPTS
from torch import Tensor, nn

from steergauge.activations.heads import capture_heads
from steergauge.activations.hooks import capture
from steergauge.directions.cosmic import cosmic_official
from steergauge.directions.direction import direction_from_differences
from steergauge.directions.iti import inference_time_intervention
from steergauge.directions.methods import METHODS
from steergauge.errors import InstrumentError, SteergaugeError
from steergauge.judging.label import Label
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.prompts import (
    EvaluationPrompt,
    EvaluationSet,
    study_contrast_set,
    study_evaluation_set,
)
from steergauge.steering.checks import check_instrument
from steergauge.steering.engine import Generation, Request
from steergauge.steering.head_dose import written_to_stream
from steergauge.steering.head_steering import steer_heads
from steergauge.steering.steering import Steering
from steergauge.steering.torch_engine import TorchEngine
from steergauge.store import Store
from steergauge.studies.gauge import gauge
from steergauge.studies.plan import block_at
from steergauge.studies.result import GaugeResult, VerdictName
from steergauge.studies.settings import GaugeSettings

Rates = Callable[..., tuple[int, int]]

BLOCKS, BLOCK = 6, 3
DOSES = (0.9, 1.4, 1.9, 3.0, 5.2, 5.8, 8.0)
STEERED_BLOCKS = BLOCKS - BLOCK


def settings(**changed: Any) -> GaugeSettings:
    given: dict[str, Any] = {"depths": (0.5,), "doses": DOSES, "max_new_tokens": 12} | changed
    return GaugeSettings(**given)


def evaluation_set(*texts: str) -> EvaluationSet:
    return EvaluationSet(name="mine", prompts=tuple(EvaluationPrompt(text=text) for text in texts))


@pytest.fixture(scope="module")
def expected_rates(phantom: Phantom) -> Rates:
    """(refused, garbled) of the thirty prompts, their components shifted by so much or set to a target."""

    def rates(*, shift: float = 0.0, target: float | None = None) -> tuple[int, int]:
        components = [phantom.component(prompt) + shift if target is None else target for prompt in PROMPTS]
        garbled = sum(component > phantom.garbling_threshold for component in components)
        return sum(component > phantom.threshold for component in components) - garbled, garbled

    return rates


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gauge") / "steergauge.db"


@pytest.fixture(scope="module")
def result(phantom_model: Model, store_path: Path) -> GaugeResult:
    torch.set_num_threads(1)  # as each test does, for it is told in the result
    return gauge(phantom_model, settings(), store=store_path)


def found_rates(result: GaugeResult) -> list[tuple[int, int]]:
    return [(one.refusal.count, one.garbled.count) for one in result.conditions]


def test_the_phantom_is_steerable(result: GaugeResult) -> None:
    assert result.verdict.verdict is VerdictName.STEERABLE
    assert result.best
    assert (result.best.condition, result.best.block) == ("dim-block3-raw3", BLOCK)
    assert (result.best.reported_on.count, result.best.reported_on.n) == (15, 15)
    assert result.best.whole_set.rate == 1.0
    assert result.random_control
    assert [one.seed for one in result.random_control.directions] == [1, 2, 3]
    assert all(one.effect.count == 0 for one in result.random_control.directions)


def test_the_rates_are_those_of_the_closed_form(result: GaugeResult, expected_rates: Rates) -> None:
    expected = [expected_rates(shift=STEERED_BLOCKS * dose) for dose in DOSES]
    assert found_rates(result) == expected
    assert len(set(expected)) >= 5
    assert {(0, 30), (30, 0)} <= set(expected)


def test_every_prompt_flips_in_the_condition_that_the_closed_form_says(
    result: GaugeResult, phantom: Phantom
) -> None:
    for generation in result.generations:
        if generation.method != "dim":
            continue
        assert generation.dose is not None
        refused = generation.dose > phantom.refusal_dose(generation.prompt, BLOCK)
        garbled = generation.dose > phantom.garbling_dose(generation.prompt, BLOCK)
        expected = Label.GARBLED if garbled else Label.REFUSAL if refused else Label.NORMAL
        assert generation.label is expected


def test_the_unsteered_phantom_refuses_the_harmful_prompts_and_no_other(result: GaugeResult) -> None:
    unsteered = result.unsteered
    assert (unsteered.refusal.count, unsteered.garbled.count, unsteered.normal.count) == (0, 0, 30)
    assert (unsteered.harmful_refusal.count, unsteered.harmless_refusal.count) == (5, 0)
    assert [one.label for one in unsteered.contrast_outputs] == ["refusal"] * 5 + ["normal"] * 5
    assert unsteered.contrast_outputs[0].text == "I cannot help with that."


def test_the_window_is_the_doses_that_reach_the_threshold(result: GaugeResult, expected_rates: Rates) -> None:
    assert result.window
    reaching = [dose for dose in DOSES if expected_rates(shift=STEERED_BLOCKS * dose)[0] >= 18]
    assert result.window.doses == reaching
    assert 1 < len(reaching) < len(DOSES)


def test_every_check_is_listed_as_passed(result: GaugeResult) -> None:
    assert [(check.name, check.passed) for check in result.checks] == [
        ("dose 0 equals unsteered", True),
        ("a dose moves the stream by what was asked", True),
        ("every token is steered", True),
    ]
    assert all(check.detail for check in result.checks)


def test_comparisons_are_paired_and_corrected_for_their_number(result: GaugeResult) -> None:
    for one in result.conditions:
        compared = one.against_unsteered
        assert (compared.n, compared.gained, compared.lost) == (30, one.refusal.count, 0)
        assert compared.p_adjusted is not None
        assert compared.p_adjusted >= compared.p_value
    smallest = min(result.conditions, key=lambda one: one.against_unsteered.p_value).against_unsteered
    assert smallest.p_adjusted == pytest.approx(len(DOSES) * smallest.p_value)


def test_every_generation_is_recorded_with_its_condition(result: GaugeResult) -> None:
    table = result.generations_to_pandas()
    names = ["unsteered", *(one.id for one in result.conditions), "random-1", "random-2", "random-3"]
    assert list(dict.fromkeys(table["condition"])) == names
    assert len(table) == 30 * len(names) == result.provenance.generations
    assert table["tokens"].sum() == result.provenance.tokens
    methods = table.drop_duplicates("condition").set_index("condition")["method"]
    assert list(methods) == ["", *["dim"] * len(DOSES), *["random"] * 3]
    unsteered = table[table["condition"] == "unsteered"]
    assert unsteered[["block", "depth", "dose", "dose_unit"]].isna().all(axis=None)
    assert table.groupby("condition")["key"].nunique().eq(30).all()
    assert list(unsteered["category"]) == [prompt.category for prompt in study_evaluation_set().prompts]
    refused = table[table["label"] == "refusal"]
    assert len(refused) > 0
    for text, start, end, evidence in zip(
        refused["text"],
        refused["evidence_start"],
        refused["evidence_end"],
        refused["evidence"],
        strict=True,
    ):
        assert evidence.endswith(f": “{text[start:end]}”")
    assert table.loc[table["label"] == "normal", ["evidence_start", "evidence_end"]].isna().all(axis=None)


def test_the_json_form_reads_back_as_the_result(result: GaugeResult) -> None:
    back = GaugeResult.model_validate_json(result.to_json())
    assert back == result.model_copy(update={"generations": []})
    assert '"schema": "steergauge.gauge/1"' in result.to_json()


def test_a_table_has_a_row_for_each_condition(result: GaugeResult) -> None:
    table = result.to_pandas()
    assert list(table["condition"]) == [one.id for one in result.conditions]
    assert list(table["refusal_count"]) == [one.refusal.count for one in result.conditions]


def test_the_same_run_again_makes_nothing_and_says_the_same(
    result: GaugeResult, phantom_model: Model, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = count_batches(monkeypatch)
    again = gauge(phantom_model, settings(), store=str(store_path))
    assert [batch for batch in batches if len(batch) > 1] == []  # the check's one row is not kept
    same_times = {"started": result.provenance.started, "seconds": result.provenance.seconds}
    provenance = again.provenance.model_copy(update=same_times)
    assert again.model_copy(update={"provenance": provenance}).to_json() == result.to_json()
    assert again.generations == result.generations


def test_a_run_on_a_store_of_its_own_says_the_same(
    result: GaugeResult, phantom_model: Model, tmp_path: Path
) -> None:
    again = gauge(phantom_model, settings(), store=tmp_path / "another.db")
    same_times = {"started": result.provenance.started, "seconds": result.provenance.seconds}
    provenance = again.provenance.model_copy(update=same_times)
    assert again.model_copy(update={"provenance": provenance}).to_json() == result.to_json()
    assert again.generations == result.generations


def test_another_grid_shares_the_control_and_the_conditions_it_has_in_common(
    result: GaugeResult, phantom_model: Model, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = count_batches(monkeypatch)
    with Store(store_path) as store:
        before = set(store.to_pandas()["key"])
        other = gauge(phantom_model, settings(doses=(3.0, 1.95)), store=store)
        new = set(store.to_pandas()["key"]) - before
    control = {one.key for one in result.generations if one.condition == "unsteered"}
    assert control == {one.key for one in other.generations if one.condition == "unsteered"}
    assert new == {one.key for one in other.generations if one.dose == 1.95 and one.method == "dim"}
    assert sum(len(batch) for batch in batches if len(batch) > 1) == 30


def count_batches(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Request]]:
    batches: list[Sequence[Request]] = []
    generate = TorchEngine.generate

    def counted(self: TorchEngine, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        batches.append(requests)
        return generate(self, requests)

    monkeypatch.setattr(TorchEngine, "generate", counted)
    return batches


def test_doses_in_separations_are_the_distance_of_the_class_means(
    phantom_model: Model, store_path: Path, expected_rates: Rates
) -> None:
    doses = (0.3, 0.5, 1.0, 2.0, 4.0)
    result = gauge(phantom_model, settings(unit="separation", doses=doses), store=store_path)
    # The harmful and the harmless mean lie 8 apart at every block, so γ shifts by 8·γ in all.
    assert found_rates(result) == [expected_rates(shift=8 * dose) for dose in doses]
    assert found_rates(result)[2] == (30, 0)
    one = result.conditions[2]
    assert one.dose.raw == pytest.approx(8, rel=1e-4)
    assert sum(one.dose.coefficients) == pytest.approx(8, rel=1e-4)
    assert result.verdict.verdict is VerdictName.STEERABLE


def test_doses_in_residual_norms_hold_that_share_of_the_norm(
    phantom_model: Model, store_path: Path, expected_rates: Rates
) -> None:
    doses = (0.1, 0.4, 0.6, 1.5)
    result = gauge(phantom_model, settings(unit="relative", doses=doses), store=store_path)
    (norms,) = {tuple(direction.residual_norms) for direction in result.directions}
    for one in result.conditions:
        assert sum(one.dose.coefficients) == pytest.approx(one.dose.value * norms[-1], rel=0.02)
    expected = [expected_rates(shift=dose * norms[-1]) for dose in doses]
    assert found_rates(result) == expected
    assert len(set(expected)) == 4
    assert result.verdict.verdict is VerdictName.STEERABLE


def test_clamping_between_the_thresholds_refuses_everything(
    phantom_model: Model, store_path: Path, phantom: Phantom, expected_rates: Rates
) -> None:
    between = (phantom.threshold + phantom.garbling_threshold) / 2
    doses = (0.0, phantom.threshold - 0.1, phantom.threshold + 0.1, between, 25.0)
    result = gauge(phantom_model, settings(unit="clamp", doses=doses), store=store_path)
    assert found_rates(result) == [expected_rates(target=dose) for dose in doses]
    assert found_rates(result) == [(0, 0), (0, 0), (30, 0), (30, 0), (0, 30)]
    assert [one.dose.clamp for one in result.conditions] == pytest.approx(doses)
    assert result.protocol.operation == "clamp"
    assert result.verdict.verdict is VerdictName.STEERABLE


def test_affine_steering_puts_every_prompt_between_the_class_means(
    phantom_model: Model, store_path: Path, phantom: Phantom, expected_rates: Rates
) -> None:
    contrast = study_contrast_set()
    low, high = (
        float(np.mean([phantom.component(prompt) for prompt in prompts]))
        for prompts in (contrast.negative, contrast.positive)
    )
    doses = (0.0, 0.5, 1.0, 3.0)
    chosen = settings(operation="affine", unit="separation", doses=doses)
    result = gauge(phantom_model, chosen, store=store_path)
    targets = [low + dose * (high - low) for dose in doses]
    assert found_rates(result) == [expected_rates(target=target) for target in targets]
    assert len(set(found_rates(result))) >= 3
    assert [one.dose.clamp for one in result.conditions] == pytest.approx(targets, abs=1e-3)
    assert (result.protocol.operation, result.protocol.dose_unit) == ("affine", "separation")


def test_one_block_alone_adds_the_dose_once(
    phantom_model: Model, store_path: Path, phantom: Phantom, expected_rates: Rates
) -> None:
    doses = tuple(STEERED_BLOCKS * dose for dose in DOSES)
    result = gauge(phantom_model, settings(blocks="one", doses=doses), store=store_path)
    assert found_rates(result) == [expected_rates(shift=dose) for dose in doses]
    assert result.protocol.blocks == "one"
    norm = result.directions[0].residual_norms[-1]
    for one in result.conditions:
        assert one.dose.total_relative == pytest.approx(one.dose.value / norm)
        assert [block for block, added in enumerate(one.dose.coefficients) if added] == [BLOCK]


@pytest.mark.parametrize("positions", ["after_instruction", "last"])
def test_the_phantom_reads_its_last_token_alone(
    positions: str, phantom_model: Model, store_path: Path, result: GaugeResult
) -> None:
    steered = gauge(phantom_model, settings(positions=positions), store=store_path)
    assert found_rates(steered) == found_rates(result)
    assert steered.protocol.positions == positions
    assert steered.provenance.generations == result.provenance.generations
    assert not {one.key for one in steered.generations if one.method == "dim"} & {
        one.key for one in result.generations
    }


def test_steering_only_what_is_generated_leaves_the_first_word_as_it_was(
    phantom_model: Model, store_path: Path
) -> None:
    result = gauge(phantom_model, settings(positions="generated"), store=store_path)
    first = {one.prompt: one.text.split()[0] for one in result.generations if one.condition == "unsteered"}
    steered = [one for one in result.generations if one.method == "dim"]
    assert all(one.text.split()[0] == first[one.prompt] for one in steered)
    assert result.protocol.positions == "generated"


def test_a_turn_moves_the_component_and_shrinks_what_it_is_read_against(
    phantom_model: Model, store_path: Path, phantom: Phantom
) -> None:
    doses = (0.5, 1.5, 2.25, 2.75)
    result = gauge(phantom_model, settings(operation="rotate", doses=doses), store=store_path)
    # The phantom's thresholds are in the rest of the stream, whose share of the norm a turn makes smaller.
    norms = np.linalg.norm(capture(phantom_model, PROMPTS).at(-1)[:, -1], axis=-1)
    before = np.array([phantom.component(prompt) for prompt in PROMPTS])
    expected = []
    for dose in doses:
        after = before + STEERED_BLOCKS * dose
        assert (after < norms).all()  # no stream has come to the direction itself
        left = np.sqrt((norms**2 - after**2) / (norms**2 - before**2))
        garbled = int((after > phantom.garbling_threshold * left).sum())
        expected.append((int((after > phantom.threshold * left).sum()) - garbled, garbled))
    assert found_rates(result) == expected
    assert len(set(expected)) == len(doses)
    assert result.protocol.operation == "rotate"


def test_several_depths_are_steered_from_their_own_blocks(
    phantom_model: Model, store_path: Path, expected_rates: Rates
) -> None:
    depths = (0.0, 0.5, 0.9)
    result = gauge(phantom_model, settings(depths=depths, doses=(1.5, 3.1)), store=store_path)
    expected = [
        (block_at(depth, BLOCKS), expected_rates(shift=(BLOCKS - block_at(depth, BLOCKS)) * dose))
        for depth in depths
        for dose in (1.5, 3.1)
    ]
    assert [
        (one.block, rates) for one, rates in zip(result.conditions, found_rates(result), strict=True)
    ] == (expected)
    assert result.best
    assert any("deepest" in one or "shallowest" in one for one in result.verdict.cautions) is (
        result.best.block != BLOCK
    )


def test_a_dose_that_refuses_too_few_is_partly_or_not_steerable(
    phantom_model: Model, store_path: Path, expected_rates: Rates
) -> None:
    half = gauge(phantom_model, settings(doses=(1.6,)), store=store_path)
    assert 8 <= expected_rates(shift=4.8)[0] < 18
    assert half.verdict.verdict is VerdictName.PARTLY_STEERABLE
    none = gauge(phantom_model, settings(doses=(0.1,)), store=store_path)
    assert none.verdict.verdict is VerdictName.NOT_STEERABLE
    opposite = gauge(phantom_model, settings(doses=(-3.0,)), store=store_path)
    assert opposite.verdict.verdict is VerdictName.NOT_STEERABLE
    assert opposite.unsteered.harmful_refusal.count == 5


HARMFUL = [
    f"How do I {word} a {thing}?"
    for word in ("hack", "steal", "pick", "break", "lock", "virus")
    for thing in ("garden", "virus")
]


def test_a_model_that_refuses_every_prompt_unsteered_cannot_be_judged(
    phantom_model: Model, store_path: Path, phantom: Phantom
) -> None:
    components = [phantom.component(prompt) for prompt in HARMFUL]
    assert all(phantom.threshold < one < phantom.garbling_threshold for one in components)
    result = gauge(
        phantom_model, settings(evaluation_set=evaluation_set(*HARMFUL), doses=(0.1,)), store=store_path
    )
    assert result.verdict.verdict is VerdictName.INVALID
    assert "answers only 0 of 12 evaluation prompts" in result.verdict.reasons[0]
    assert (result.best, result.window, result.random_control) == (None, None, None)
    assert result.unsteered.refused_prompts == HARMFUL
    assert (result.conditions[0].effect.n, result.conditions[0].effect.rate) == (0, None)
    assert GaugeResult.model_validate_json(result.to_json()).verdict == result.verdict


def test_prompts_refused_unsteered_are_left_out_of_the_effect(phantom_model: Model, store_path: Path) -> None:
    prompts = evaluation_set(*HARMFUL[:4], *PROMPTS[:20])
    result = gauge(phantom_model, settings(evaluation_set=prompts, doses=(3.0,)), store=store_path)
    assert result.unsteered.refused_prompts == HARMFUL[:4]
    (condition,) = result.conditions
    assert condition.effect.n == 20
    assert result.best
    assert result.best.whole_set.n == 20
    assert not set(HARMFUL) & {*result.best.choosing_prompts, *result.best.reporting_prompts}
    assert any("already refuses 4 of 24" in caution for caution in result.verdict.cautions)
    marked = {one.prompt for one in result.generations if one.unsteered_refused}
    assert marked == set(HARMFUL[:4])


def test_a_repeated_prompt_is_refused_with_the_reason() -> None:
    with pytest.raises(ValidationError, match=r"stands 2 times; a repeat .* is one observation"):
        evaluation_set("a prompt", "another", "a prompt")


def test_a_name_is_taken_for_a_model(tmp_path: Path, phantom: Phantom) -> None:
    result = gauge(str(phantom.folder), settings(doses=(3.0,)), store=tmp_path / "steergauge.db")
    assert result.model.name == str(phantom.folder)
    with pytest.raises(SteergaugeError, match=r"unknown model 'qwen2\.5-coder-0\.5'"):
        gauge("qwen2.5-coder-0.5", store=tmp_path / "steergauge.db")


def test_a_direction_of_another_width_is_refused_with_both_widths(
    phantom_model: Model, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def narrow(*_: Any) -> Any:
        return direction_from_differences("narrow", np.ones((BLOCKS, 64)))

    monkeypatch.setitem(METHODS, "narrow", narrow)
    with pytest.raises(SteergaugeError, match=r"is 64 wide and .* is 128 wide"):
        gauge(phantom_model, settings(methods=("dim", "narrow")), store=store_path)


def test_several_methods_are_swept_side_by_side(
    phantom_model: Model, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def backwards(positive: Any, negative: Any) -> Any:
        return direction_from_differences(
            "backwards", METHODS["dim"](negative, positive).vectors.astype(np.float64)
        )

    monkeypatch.setitem(METHODS, "backwards", backwards)
    chosen = settings(methods=("backwards", "dim"), doses=(3.0,))
    result = gauge(phantom_model, chosen, store=store_path)
    assert [(one.method, one.refusal.count) for one in result.conditions] == [("backwards", 0), ("dim", 30)]
    assert result.best
    assert result.best.method == "dim"
    assert {one.method for one in result.generations} == {"", "backwards", "dim", "random"}


@pytest.fixture
def largest(phantom: Phantom) -> Steering:
    coefficients = np.where(np.arange(BLOCKS) >= BLOCK, 5.0, 0.0)
    return Steering(phantom.direction.astype(np.float32), coefficients, BLOCK)


def check(model: Model, steering: Steering) -> None:
    check_instrument(model, TorchEngine(model, 4, 12), PROMPTS[0], steering)


def pass_hooks_through(
    block: nn.Module, monkeypatch: pytest.MonkeyPatch, becomes: Callable[[Tensor, Any], Any]
) -> None:
    """Makes a block do something else with what a hook returns than to pass it on."""
    register = block.register_forward_hook

    def registered(hook: Any, **options: Any) -> Any:
        def another(module: nn.Module, inputs: Any, output: Tensor) -> Any:
            returned = hook(module, inputs, output)
            return None if returned is None else becomes(output, returned)

        return register(another, **options)

    monkeypatch.setattr(block, "register_forward_hook", registered)


def test_the_instrument_passes_its_checks_on_the_phantom(phantom_model: Model, largest: Steering) -> None:
    check(phantom_model, largest)


@pytest.mark.parametrize(
    "becomes",
    [
        lambda output, returned: None,
        lambda output, returned: output + 2 * (returned - output),
        lambda output, returned: output + 0.999 * (returned - output),
        lambda output, returned: 2 * output - returned,
    ],
    ids=["ignored", "doubled", "a thousandth less", "backwards"],
)
def test_a_block_that_does_not_move_by_what_was_asked_stops_the_gauge(
    phantom_model: Model,
    largest: Steering,
    store_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    becomes: Callable[[Tensor, Any], Any],
) -> None:
    pass_hooks_through(phantom_model.blocks.modules[BLOCK], monkeypatch, becomes)
    with pytest.raises(
        InstrumentError, match=r"block 3 of .* moved otherwise than the dose asked"
    ) as refusal:
        check(phantom_model, largest)
    assert "\n" not in str(refusal.value)
    with pytest.raises(InstrumentError, match="moved otherwise"):
        gauge(phantom_model, settings(), store=store_path)


def test_a_model_that_goes_on_with_what_its_block_computed_unsteered_stops_the_gauge(
    phantom_model: Model, largest: Steering, monkeypatch: pytest.MonkeyPatch
) -> None:
    block, following = phantom_model.blocks.modules[BLOCK : BLOCK + 2]
    computed: list[Tensor] = []
    compute = block.forward

    def forward(*inputs: Any, **keywords: Any) -> Any:
        computed.append(compute(*inputs, **keywords))
        return computed[-1]

    monkeypatch.setattr(block, "forward", forward)
    handle = following.register_forward_pre_hook(lambda _module, inputs: (computed[-1], *inputs[1:]))
    try:
        with pytest.raises(InstrumentError, match="moved otherwise"):
            check(phantom_model, largest)
    finally:
        handle.remove()


def test_a_steering_path_that_changes_the_model_at_dose_0_stops_the_gauge(
    phantom_model: Model, largest: Steering
) -> None:
    class Other(TorchEngine):
        def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
            for index, generation in super().generate(requests):
                yield index, Generation(generation.text, (*generation.tokens[:-1], 0), generation.finish)

    with pytest.raises(InstrumentError, match=r"at dose 0 .* the steering path itself changes the model"):
        check_instrument(phantom_model, Other(phantom_model, 4, 12), PROMPTS[0], largest)


def test_a_block_that_runs_more_than_once_a_token_stops_the_gauge(
    phantom_model: Model, largest: Steering, monkeypatch: pytest.MonkeyPatch
) -> None:
    block: Any = phantom_model.blocks.modules[BLOCK]
    forward = block.forward
    calls = {"inside": False}

    def twice(*arguments: Any, **keywords: Any) -> Any:
        if not calls["inside"]:
            calls["inside"] = True
            block(*arguments, **(keywords | {"past_key_values": None, "use_cache": False}))
            calls["inside"] = False
        return forward(*arguments, **keywords)

    monkeypatch.setattr(block, "forward", twice)
    with pytest.raises(InstrumentError):
        check(phantom_model, largest)


def test_a_method_that_chooses_its_block_is_steered_there_beside_the_depths_and_says_what_fell(
    phantom_model: Model, tmp_path: Path
) -> None:
    chosen = settings(methods=("dim", "cosmic_official"), doses=(3.0,), random_directions=1)
    found = gauge(phantom_model, chosen, store=tmp_path / "steergauge.db")
    own = found.directions[1].selection
    assert own
    expected = cosmic_official(phantom_model, study_contrast_set())
    assert (own.block, own.position) == (expected.block, expected.chosen.position)
    assert [one.fell for one in own.candidates] == [
        one.fell.value if one.fell else None for one in expected.candidates
    ]
    steered = {(one.method, one.block) for one in found.conditions}
    assert steered == {(name, block) for name in ("dim", "cosmic_official") for block in (BLOCK, own.block)}
    compared = found.side_by_side
    assert compared
    assert [(at.block, at.selected_by) for at in compared.at_selected] == [(own.block, ["cosmic_official"])]
    assert [one.best.method for one in compared.at_selected[0].outcomes] == ["dim", "cosmic_official"]


def test_heads_are_steered_by_doses_of_their_own(phantom_model: Model, tmp_path: Path) -> None:
    chosen = settings(methods=("iti",), depths=(0.0,), head_doses=(10.0,), random_directions=1)
    found = gauge(phantom_model, chosen, store=tmp_path / "steergauge.db")
    (only,) = found.conditions
    assert (only.method, only.dose.unit, only.dose.value) == ("iti", "sigma", 10.0)
    # On the phantom only block 0's heads read the prompt, and what they write stays in the stream.
    heads = inference_time_intervention(
        capture_heads(phantom_model, study_contrast_set().positive),
        capture_heads(phantom_model, study_contrast_set().negative),
    )
    written = written_to_stream(steer_heads(heads, 10.0), phantom_model)
    assert only.dose.raw == pytest.approx(np.linalg.norm(written[0]))
    assert not written[1:].any()
    assert only.refusal.count == 30
    assert found.random_control
    assert found.random_control.directions[0].refusal.count < 30
    assert found.protocol.methods == ["iti"]
    assert {(one.block, one.head) for one in found.directions[0].heads} == set(heads.best_heads())
