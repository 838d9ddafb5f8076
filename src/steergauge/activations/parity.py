"""Parity: whether a capture backend reads the stream that the reference reads, at every block.

Each backend comes to one of five outcomes:

- *supported*: at every block, prompt and position the relative error ‖a − b‖/‖b‖ is at most `EXACT_ERROR` and the
  cosine at least `EXACT_COSINE`, and a second run reads the same.
- *degraded*: it reads the right thing less exactly. Either the difference is gone when both run in float32 (the
  matched-precision control), or there it is at most `ROUNDING_FACTOR` times what computing in half precision costs
  the reference itself at that block, with a cosine of at least `DEGRADED_COSINE`; or it does not repeat itself.
- *silently wrong*: it returned something else and raised nothing; or what it reads does not move when the prompt
  changes (the guard), so it agrees by accident.
- *error*: it raised.
- *no reference*: the reference raised, is not finite, does not repeat itself or does not move with the prompt.

Thresholds lie between what was measured. In float32 backends that agree differ by at most 1e-6, and a reading
rounded to float16 by 2e-4. On Qwen2.5-Coder 0.5B computing in bfloat16 costs the reference 9e-3 to 2.3e-2, and the
streams after neighbouring blocks differ by 0.27 to 0.57, with cosines of 0.87 to 0.97.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from steergauge.activations.activations import Activations, Capture
from steergauge.activations.backends import BACKENDS, REFERENCE
from steergauge.activations.hidden_states import own_copy
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.precision import Precision

EXACT_ERROR = 1e-4
EXACT_COSINE = 1 - 1e-6
ROUNDING_FACTOR = 2.0
DEGRADED_COSINE = 0.99
LEAST_MOVEMENT = 0.1
"""The part of the reference's movement, from one prompt to another, that a live reading makes at least."""

_CHANGE = " Please."

Array = NDArray[np.float64]


class Outcome(StrEnum):
    """What became of a backend."""

    SUPPORTED = "supported"
    DEGRADED = "degraded"
    SILENTLY_WRONG = "silently wrong"
    ERROR = "error"
    NO_REFERENCE = "no reference"


@dataclass(frozen=True)
class Agreement:
    """How near one reading is to another at each block, at the prompt and position where they are furthest apart.

    Attributes:
        relative_errors: the largest ‖a − b‖/‖b‖, (blocks,).
        cosines: the smallest cosine of a and b, (blocks,).
    """

    relative_errors: tuple[float, ...]
    cosines: tuple[float, ...]

    @property
    def worst_error(self) -> float:
        """The largest relative error of all blocks; NaN where a reading is not finite."""
        return float(np.max(self.relative_errors))

    @property
    def worst_block(self) -> int:
        """The block of the largest relative error."""
        return int(np.argmax(self.relative_errors))

    @property
    def exact(self) -> bool:
        """Whether the two are one reading, up to float32's own rounding."""
        return self.worst_error <= EXACT_ERROR and min(self.cosines) >= EXACT_COSINE

    def explained_by(self, rounding: "Agreement") -> bool:
        """Whether the difference is no larger than half precision makes it at each block."""
        allowed = ROUNDING_FACTOR * np.array(rounding.relative_errors)
        within = np.array(self.relative_errors) <= allowed
        return bool(within.all()) and min(self.cosines) >= DEGRADED_COSINE


@dataclass(frozen=True, eq=False)
class Readings:
    """What one backend read: the prompts, the same prompts again, and each of them changed."""

    first: Activations
    again: Activations
    changed: Activations


@dataclass(frozen=True)
class Failure:
    """What a backend raised, in one line."""

    message: str


@dataclass(frozen=True)
class Control:
    """What tells lost precision from another stream.

    Attributes:
        matched: the backend against the reference, both in float32.
        rounding: the reference in half precision against itself in float32.
    """

    matched: Agreement
    rounding: Agreement


@dataclass(frozen=True)
class Parity:
    """One backend's outcome, why, and the numbers that say so.

    Attributes:
        agreement: against the reference, in the model's precision; None where nothing could be compared.
        repeat: its second run against its first.
        control: made only where the agreement is not exact.
    """

    backend: str
    outcome: Outcome
    reason: str
    agreement: Agreement | None = None
    repeat: Agreement | None = None
    control: Control | None = None


def compare(read: Activations, reference: Activations) -> Agreement:
    """The agreement of two readings of one shape."""
    one, other = read.values.astype(np.float64), reference.values.astype(np.float64)
    products = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    cosines = _ratio((one * other).sum(axis=-1), products)  # (prompts, blocks, positions)
    return Agreement(
        relative_errors=tuple(_distances(read, reference).max(axis=(0, 2)).tolist()),
        cosines=tuple(cosines.min(axis=(0, 2)).tolist()),
    )


def judge(
    backend: str,
    read: Readings | Failure,
    reference: Readings | Failure,
    control: Control | None = None,
) -> Parity:
    """The outcome of a backend, from what it and the reference read.

    Args:
        backend: its name.
        read: what it read, or how it failed.
        reference: the same of the reference.
        control: needed where the two do not agree exactly; without one they count as different streams.
    """
    if flaw := _flaw(reference):
        return Parity(backend, Outcome.NO_REFERENCE, flaw)
    assert isinstance(reference, Readings)
    if isinstance(read, Failure):
        return Parity(backend, Outcome.ERROR, read.message)
    for one, other in (
        (read.first, reference.first),
        (read.again, reference.again),
        (read.changed, reference.changed),
    ):
        if one.values.shape != other.values.shape:
            return Parity(
                backend,
                Outcome.SILENTLY_WRONG,
                f"it read (prompts, blocks, positions, width) = {one.values.shape}, not {other.values.shape}",
            )
    if not np.isfinite(read.first.values).all():
        return Parity(backend, Outcome.SILENTLY_WRONG, "it read values that are not finite")
    agreement, repeat = compare(read.first, reference.first), compare(read.again, read.first)
    outcome, reason = _verdict(read, reference, agreement, repeat, control)
    return Parity(backend, outcome, reason, agreement, repeat, control)


def measure_parity(
    model: Model,
    prompts: Sequence[str],
    backends: Mapping[str, Capture] | None = None,
    positions: Sequence[int] = (-1,),
) -> list[Parity]:
    """Runs every backend on the prompts and judges it against the reference.

    Args:
        model: left as it is.
        prompts: of different lengths, so that padding is at work.
        backends: name → backend; without them, all but the reference.
        positions: counted from each prompt's end.

    Raises:
        SteergaugeError: the prompts are all of one length.
    """
    if model.template.encode(list(prompts), "cpu")["attention_mask"].all():
        raise SteergaugeError(
            "parity needs prompts of different lengths: a backend that reads only the first row, or the "
            "padding, is right on others by accident"
        )
    if backends is None:
        backends = {name: capture for name, capture in BACKENDS.items() if name != REFERENCE}
    reference = _read(BACKENDS[REFERENCE], model, prompts, positions)
    found = []
    for name, capture in backends.items():
        read = _read(capture, model, prompts, positions)
        parity = judge(name, read, reference)
        if parity.agreement and not parity.agreement.exact:
            parity = judge(name, read, reference, _control(capture, model, prompts, positions))
        found.append(parity)
    return found


def in_one_line(error: Exception) -> str:
    """What a backend raised, whatever it is: its kind and its first line; our own errors by their line alone."""
    lines = str(error).strip().splitlines()
    if isinstance(error, SteergaugeError):
        return lines[0]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _verdict(
    read: Readings, reference: Readings, agreement: Agreement, repeat: Agreement, control: Control | None
) -> tuple[Outcome, str]:
    if not (_movement(read) >= LEAST_MOVEMENT * _movement(reference)).all():
        return Outcome.SILENTLY_WRONG, "what it reads stays as it was when the prompt changes"
    apart = f"relative error {agreement.worst_error:.1e} at block {agreement.worst_block}"
    if not agreement.exact:
        if control and control.matched.exact:
            return Outcome.DEGRADED, f"{apart}; in float32 it agrees ({control.matched.worst_error:.1e})"
        if control and control.matched.explained_by(control.rounding):
            rounding = control.rounding.relative_errors[control.matched.worst_block]
            return Outcome.DEGRADED, f"{apart}, as half precision costs the reference ({rounding:.1e} there)"
        return Outcome.SILENTLY_WRONG, apart
    if not repeat.exact:
        return Outcome.DEGRADED, f"a second run differs by {repeat.worst_error:.1e}"
    return Outcome.SUPPORTED, f"{apart} at most"


def _flaw(reference: Readings | Failure) -> str | None:
    """What makes a reference none."""
    if isinstance(reference, Failure):
        return f"the reference failed: {reference.message}"
    if not np.isfinite(reference.first.values).all():
        return "the reference read values that are not finite"
    if not compare(reference.again, reference.first).exact:
        return "the reference does not repeat itself"
    if not (_movement(reference) > EXACT_ERROR).all():
        return "the reference stays as it was when the prompt changes"
    return None


def _read(
    capture: Capture, model: Model, prompts: Sequence[str], positions: Sequence[int]
) -> Readings | Failure:
    changed = [prompt + _CHANGE for prompt in prompts]
    try:
        # The changed prompts last: what a backend keeps from earlier prompts shows.
        first, again, moved = (capture(model, these, positions) for these in (prompts, prompts, changed))
    except Exception as error:
        return Failure(in_one_line(error))
    return Readings(first, again, moved)


def _control(
    capture: Capture, model: Model, prompts: Sequence[str], positions: Sequence[int]
) -> Control | None:
    """The matched-precision control; None where the backend reads something of another shape or fails in float32."""
    if model.precision is Precision.FLOAT32:
        exact, rounded = model, own_copy(model, Precision.BFLOAT16)
    else:
        exact, rounded = own_copy(model, Precision.FLOAT32), model
    reference = BACKENDS[REFERENCE](exact, prompts, positions)
    read = _read(capture, exact, prompts, positions)
    if isinstance(read, Failure) or read.first.values.shape != reference.values.shape:
        return None
    return Control(
        matched=compare(read.first, reference),
        rounding=compare(BACKENDS[REFERENCE](rounded, prompts, positions), reference),
    )


def _movement(read: Readings) -> Array:
    """How far each reading went when its prompt changed, relative to it: (prompts, blocks, positions)."""
    return _distances(read.changed, read.first)


def _distances(read: Activations, reference: Activations) -> Array:
    """‖a − b‖/‖b‖ of each reading: (prompts, blocks, positions)."""
    one, other = read.values.astype(np.float64), reference.values.astype(np.float64)
    return _ratio(np.linalg.norm(one - other, axis=-1), np.linalg.norm(other, axis=-1))


def _ratio(part: Array, whole: Array) -> Array:
    """Part / whole; of nothing by nothing what is given, infinite where only the divisor is nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Array = np.where((part == 0) & (whole == 0), 0.0, part / whole)
    return ratio
