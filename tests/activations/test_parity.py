"""The contract of every backend, and what parity makes of backends that break it."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_hooks import PROMPTS, streams_one_by_one

from steergauge.activations import hooks
from steergauge.activations.activations import Activations, Capture
from steergauge.activations.backends import BACKENDS, find_backend
from steergauge.activations.hidden_states import own_copy
from steergauge.activations.parity import (
    Agreement,
    Control,
    Failure,
    Outcome,
    Parity,
    Readings,
    compare,
    judge,
    measure_parity,
)
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model, load_model
from steergauge.models.phantom import Phantom
from steergauge.models.precision import Precision

Models = Callable[[str], Model]
Folders = Callable[[str], Path]
Values = NDArray[np.float32]
EXTRAS = ("nnsight", "transformer_lens", "pyvene")
TINY = ("qwen2", "llama")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Capture:
    """Each backend whose package is here."""
    name: str = request.param
    if name in EXTRAS and importlib.util.find_spec(name) is None:
        pytest.skip(f"the package {name} is not installed: pip install -e '.[{name.replace('_', '-')}]'")
    return find_backend(name)


@pytest.mark.parametrize("family", TINY)
def test_a_backend_reads_every_blocks_stream_of_each_prompt_alone(
    backend: Capture, family: str, tiny_model: Models, tiny_folder: Folders
) -> None:
    read = backend(tiny_model(family), PROMPTS, (-1, -3))
    alone = streams_one_by_one(tiny_model(family), tiny_folder(family), family, PROMPTS)
    expected = np.stack([streams[:, [-1, -3]] for streams in alone])
    assert read.values.dtype == np.float32
    assert read.positions == (-1, -3)
    np.testing.assert_allclose(read.values, expected, atol=1e-4, rtol=1e-4)


def test_a_backend_reads_the_phantoms_known_component_at_every_block(
    backend: Capture, phantom: Phantom, phantom_model: Model
) -> None:
    read = backend(phantom_model, PROMPTS).at(-1) @ phantom.direction
    expected = [[phantom.component(prompt)] * phantom.blocks for prompt in PROMPTS]
    np.testing.assert_allclose(read, expected, atol=1e-3)


def test_a_backend_reads_more_prompts_than_a_batch_holds(backend: Capture, tiny_model: Models) -> None:
    model, prompts = tiny_model("llama"), PROMPTS * 7
    np.testing.assert_allclose(
        backend(model, prompts).values, hooks.capture(model, prompts).values, atol=1e-4, rtol=1e-4
    )


def test_a_backend_sees_what_is_written_into_the_stream_before_a_block(
    backend: Capture, tiny_model: Models
) -> None:
    model = tiny_model("qwen2")
    before = backend(model, PROMPTS).values
    handle = model.blocks.modules[1].register_forward_pre_hook(lambda _module, inputs: (inputs[0] + 1,))
    try:
        written, expected = backend(model, PROMPTS).values, hooks.capture(model, PROMPTS).values
    finally:
        handle.remove()
    np.testing.assert_allclose(written, expected, atol=1e-4, rtol=1e-4)
    assert np.array_equal(written[:, 0], before[:, 0])
    assert np.abs(written[:, 1:] - before[:, 1:]).max(axis=(0, 2, 3)).min() > 0.1
    np.testing.assert_allclose(backend(model, PROMPTS).values, before, atol=1e-5)


def test_a_backend_leaves_the_model_as_it_was(backend: Capture, tiny_folder: Folders) -> None:
    model = load_model(str(tiny_folder("qwen2")), precision="float32", device="cpu")

    def state() -> list[object]:
        modules = [
            (name, type(module), sorted(vars(module)), list(module._forward_hooks.values()))
            for name, module in model.module.named_modules()
        ]
        weights = [(name, weight.requires_grad) for name, weight in model.module.named_parameters()]
        return [modules, weights, model.module.config.to_dict(), model.module.training]

    before, weights = state(), {name: one.clone() for name, one in model.module.state_dict().items()}
    read = hooks.capture(model, PROMPTS).values
    backend(model, PROMPTS)
    assert state() == before
    assert all(torch.equal(one, weights[name]) for name, one in model.module.state_dict().items())
    assert np.array_equal(hooks.capture(model, PROMPTS).values, read)


def test_a_backend_says_nothing_on_stdout(
    backend: Capture, tiny_model: Models, capsys: pytest.CaptureFixture[str]
) -> None:
    backend(tiny_model("llama"), PROMPTS)
    assert capsys.readouterr().out == ""


def test_a_backend_that_is_not_there_is_answered_with_the_near_names() -> None:
    with pytest.raises(SteergaugeError, match="no capture backend 'nsight'; did you mean nnsight"):
        find_backend("nsight")


def altered(change: Callable[[Values], Values]) -> Capture:
    """The reference with its readings changed."""

    def broken(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
        values = change(hooks.capture(model, prompts, positions).values)
        return Activations(values.astype(np.float32), tuple(positions))

    return broken


def final_normed(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    values = hooks.capture(model, prompts, positions).values.copy()
    with torch.inference_mode():
        values[:, -1] = model.blocks.final_norm(torch.from_numpy(values[:, -1])).numpy()
    return Activations(values, tuple(positions))


def raising(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    raise RuntimeError("shapes do not match\nat great length")


def in_bfloat16(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    return hooks.capture(own_copy(model, Precision.BFLOAT16), prompts, positions)


def in_float32(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    return hooks.capture(own_copy(model, Precision.FLOAT32), prompts, positions)


def remembering() -> Capture:
    """A backend that reads its first prompts well, and returns that ever after."""
    kept: list[Activations] = []

    def broken(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
        kept.append(hooks.capture(model, prompts, positions))
        return kept[0]

    return broken


def drifting() -> Capture:
    """A backend that reads a little further off at every call, within what precision explains."""
    calls: list[None] = []

    def broken(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
        read = hooks.capture(model, prompts, positions)
        values = read.values * np.float32(1 + 5e-4 * len(calls))
        calls.append(None)
        return Activations(values, read.positions)

    return broken


BROKEN: dict[str, tuple[Callable[[], Capture], Outcome, str]] = {
    "nothing broken": (lambda: altered(lambda values: values), Outcome.SUPPORTED, "0.0e+00"),
    "one block early": (
        lambda: altered(lambda values: np.roll(values, 1, axis=1)),
        Outcome.SILENTLY_WRONG,
        "relative error",
    ),
    "one block late": (
        lambda: altered(lambda values: np.concatenate([values[:, 1:], values[:, -1:]], axis=1)),
        Outcome.SILENTLY_WRONG,
        "relative error",
    ),
    "final-normed last block": (lambda: final_normed, Outcome.SILENTLY_WRONG, "at block 3"),
    "first row only": (
        lambda: altered(lambda values: np.repeat(values[:1], len(values), axis=0)),
        Outcome.SILENTLY_WRONG,
        "relative error",
    ),
    "first row returned": (lambda: altered(lambda values: values[:1]), Outcome.SILENTLY_WRONG, "not (3, 4,"),
    "not finite": (lambda: altered(lambda values: values * np.nan), Outcome.SILENTLY_WRONG, "not finite"),
    "kept from earlier prompts": (remembering, Outcome.SILENTLY_WRONG, "stays as it was"),
    "rounded to float16": (
        lambda: altered(lambda values: values.astype(np.float16)),
        Outcome.DEGRADED,
        "half precision",
    ),
    "computed in bfloat16": (lambda: in_bfloat16, Outcome.DEGRADED, "half precision"),
    "not repeating itself": (drifting, Outcome.DEGRADED, "a second run differs by 5.0e-04"),
    "raising": (lambda: raising, Outcome.ERROR, "RuntimeError: shapes do not match"),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("family", TINY)
def test_a_broken_backend_gets_its_outcome(fault: str, family: str, tiny_model: Models) -> None:
    make, outcome, reason = BROKEN[fault]
    (parity,) = measure_parity(tiny_model(family), PROMPTS, {fault: make()})
    assert parity.backend == fault
    assert parity.outcome is outcome, parity
    assert reason in parity.reason
    assert "\n" not in parity.reason


@pytest.mark.parametrize(
    ("broken", "outcome"),
    [
        (in_float32, Outcome.DEGRADED),
        (altered(lambda values: np.roll(values, 1, axis=1)), Outcome.SILENTLY_WRONG),
        (hooks.capture, Outcome.SUPPORTED),
    ],
    ids=["agrees in float32", "one block early", "same"],
)
def test_in_bfloat16_a_control_in_float32_tells_precision_from_another_stream(
    broken: Capture, outcome: Outcome, tiny_folder: Folders
) -> None:
    model = load_model(str(tiny_folder("qwen2")), precision="bfloat16", device="cpu")
    (parity,) = measure_parity(model, PROMPTS, {"broken": broken})
    assert parity.outcome is outcome, parity
    assert (parity.control is None) == (outcome is Outcome.SUPPORTED)


def test_every_backend_is_supported(backend: Capture, phantom_model: Model, tiny_model: Models) -> None:
    for model in (phantom_model, *(tiny_model(family) for family in TINY)):
        (parity,) = measure_parity(model, PROMPTS, {"it": backend})
        assert parity.outcome is Outcome.SUPPORTED, parity
        assert parity.agreement
        assert len(parity.agreement.relative_errors) == len(model.blocks)


def test_without_backends_all_but_the_reference_are_measured(tiny_model: Models) -> None:
    found: dict[str, Parity] = {one.backend: one for one in measure_parity(tiny_model("llama"), PROMPTS)}
    assert list(found) == [name for name in BACKENDS if name != "hooks"]
    assert found["hidden_states"].outcome is Outcome.SUPPORTED
    for name in EXTRAS:
        if importlib.util.find_spec(name) is None:
            assert found[name].outcome is Outcome.ERROR
            assert "pip install" in found[name].reason
        else:
            assert found[name].outcome is Outcome.SUPPORTED, found[name]


def test_prompts_of_one_length_prove_too_little(tiny_model: Models) -> None:
    with pytest.raises(SteergaugeError, match="prompts of different lengths"):
        measure_parity(tiny_model("llama"), ["Hello", "Hello"])


def made(values: NDArray[np.floating]) -> Activations:
    return Activations(values.astype(np.float32), (-1,))


def readings(seed: int = 0) -> Readings:
    first, changed = np.random.default_rng(seed).normal(size=(2, 3, 4, 1, 8))
    return Readings(made(first), made(first), made(changed))


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (Failure("OutOfMemoryError: no room"), "the reference failed: OutOfMemoryError: no room"),
        (Readings(*(made(one.values * np.nan) for one in vars(readings()).values())), "not finite"),
        (Readings(readings().first, readings(1).first, readings().changed), "does not repeat itself"),
        (Readings(*(readings().first,) * 3), "stays as it was"),
    ],
)
def test_a_reference_that_cannot_be_trusted_is_none(reference: Readings | Failure, reason: str) -> None:
    parity = judge("it", readings(), reference)
    assert parity.outcome is Outcome.NO_REFERENCE
    assert reason in parity.reason
    assert parity.agreement is None


def test_agreement_is_that_of_the_worst_prompt_at_each_block() -> None:
    reference = np.ones((2, 3, 1, 4))
    read = reference.copy()
    read[1, 0] *= 1.5  # longer
    read[0, 2] = [[1, 1, 1, -1]]  # turned: distance 2 of length 2, cosine 1/2
    agreement = compare(made(read), made(reference))
    np.testing.assert_allclose(agreement.relative_errors, [0.5, 0, 1])
    np.testing.assert_allclose(agreement.cosines, [1, 1, 0.5])
    assert agreement.worst_error == 1
    assert agreement.worst_block == 2


@pytest.mark.parametrize(
    ("error", "cosine", "outcome"),
    [
        (0.019, 0.991, Outcome.DEGRADED),
        (0.021, 0.991, Outcome.SILENTLY_WRONG),
        (0.019, 0.989, Outcome.SILENTLY_WRONG),
        (1e-4, 1.0, Outcome.DEGRADED),
    ],
)
def test_rounding_explains_at_most_twice_its_own_error(error: float, cosine: float, outcome: Outcome) -> None:
    reference = readings()
    read = Readings(*(made(one.values * 1.3) for one in vars(reference).values()))
    control = Control(
        matched=Agreement((0.0, error), (1.0, cosine)), rounding=Agreement((0.01, 0.01), (0.999, 0.999))
    )
    assert judge("it", read, reference, control).outcome is outcome
    assert judge("it", read, reference).outcome is Outcome.SILENTLY_WRONG
