"""The reading faults: each really makes one mistake that a careless user makes, on the real model.

Every function here meets the capture contract, so that what it reads can be compared, made into a direction and
steered with like any other reading. None is right, and none raises on its own: that is the point.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BatchEncoding

from steergauge.activations import hooks
from steergauge.activations.activations import Activations, Capture
from steergauge.activations.batches import encode_in_batches, in_batches, pick
from steergauge.activations.hidden_states import own_copy, returned_hidden_states
from steergauge.models.blocks import BlockOutput, entering_norms, reading, stream_of
from steergauge.models.loading import Model
from steergauge.models.precision import Precision

RUN_ON = 16
"""Tokens that `generate` makes while the hook of `last_call_of_generate` keeps its last call."""


def no_chat_template(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Tokenises the bare prompt, without the chat template."""
    encodings = (_tokenized(model, some, "left") for some in in_batches(prompts))
    return Activations(_read(model, encodings, positions), tuple(positions))


def doubled_bos(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Tokenises the rendered template with special tokens added again."""
    rendered = [model.template.render(prompt) for prompt in prompts]
    encodings = (_tokenized(model, some, "left") for some in in_batches(rendered))
    return Activations(_read(model, encodings, positions), tuple(positions))


def right_padding(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Pads on the right and reads at −1: in all but the longest prompt of a batch, padding."""
    rendered = [model.template.render(prompt) for prompt in prompts]
    encodings = (_tokenized(model, some, "right", add_special_tokens=False) for some in in_batches(rendered))
    run = partial(_run_plainly, model, ("position_ids",))
    return Activations(_read(model, encodings, positions, run=run), tuple(positions))


def no_attention_mask(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Pads on the left and does not pass the mask: padding is attended to, and counted as positions."""
    encodings = encode_in_batches(model, prompts)
    run = partial(_run_plainly, model, ("position_ids", "attention_mask"))
    return Activations(_read(model, encodings, positions, run=run), tuple(positions))


def off_by_one_block(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Takes `hidden_states[k]` for r_k; it is p_k = r_{k−1}."""
    returned = returned_hidden_states(own_copy(model), prompts)
    values = np.concatenate([pick(hidden[:-1], positions) for hidden in returned])
    return Activations(values, tuple(positions))


def first_token(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Counts from the wrong end, one prompt at a time: position 0 for −1."""
    encodings = (model.template.encode([prompt], model.device) for prompt in prompts)
    return Activations(_read(model, encodings, [-1 - position for position in positions]), tuple(positions))


def last_call_of_generate(
    model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)
) -> Activations:
    """Leaves the hook on while `generate` writes `RUN_ON` tokens, and reads its last call: a decoding step.

    Such a step has one token: there is no position but −1.
    """

    def run(encoding: BatchEncoding) -> None:
        model.module.generate(**encoding, generation_config=model.greedy(RUN_ON))  # type: ignore[operator]

    return Activations(_read(model, encode_in_batches(model, prompts), positions, run=run), tuple(positions))


def first_row_only(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Reads `output[0]` of a batch: its first prompt, taken for all of them."""

    def stream(output: BlockOutput) -> Tensor:
        taken: Tensor = output[0]  # (tokens, width) of a bare tensor
        return taken.expand(len(output), -1, -1)

    encodings = encode_in_batches(model, prompts)
    return Activations(_read(model, encodings, positions, stream=stream), tuple(positions))


def norm_for_stream(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Hooks the block's input norm in place of the block."""
    norms = _entering_norms(model)
    assert norms is not None  # where there are none the fault is impossible
    encodings = encode_in_batches(model, prompts)
    return Activations(_read(model, encodings, positions, modules=norms), tuple(positions))


def final_normed_last_block(
    model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)
) -> Activations:
    """Takes `hidden_states[k + 1]` for every r_k; the last of them has gone through the final norm."""
    returned = returned_hidden_states(own_copy(model), prompts)
    values = np.concatenate([pick(hidden[1:], positions) for hidden in returned])
    return Activations(values, tuple(positions))


def view_edited_in_place(first_block: int, addition: NDArray[np.float32]) -> Capture:
    """Keeps a view of the stream, while a steering hook registered later writes into the same memory.

    Args:
        first_block: the steering hook is on this block and all after it.
        addition: what it adds to the stream, (width,).
    """

    def capture(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
        added = torch.from_numpy(addition).to(model.device, model.precision.dtype)

        def steer(_block: int, stream: Tensor) -> None:
            stream.add_(added)

        def run(encoding: BatchEncoding) -> None:
            # Hooks run in the order of their registration: the reader's came first.
            with reading(model.blocks.modules[first_block:], steer):
                model.forward(encoding["input_ids"], encoding["attention_mask"])

        encodings = encode_in_batches(model, prompts)
        return Activations(_read(model, encodings, positions, run=run), tuple(positions))

    return capture


def in_bfloat16(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Reads the model in bfloat16."""
    return hooks.capture(own_copy(model, Precision.BFLOAT16), prompts, positions)


def in_float16(model: Model, prompts: Sequence[str], positions: Sequence[int] = (-1,)) -> Activations:
    """Reads the model in float16."""
    return hooks.capture(own_copy(model, Precision.FLOAT16), prompts, positions)


def always_possible(_model: Model) -> str | None:
    """Says nothing: the mistake can be made on every model."""
    return None


def returns_no_tensors(model: Model) -> str | None:
    """Says that `output[0]` is no mistake where blocks return tuples."""
    encoding = model.template.encode(["Hello"], model.device)
    with torch.inference_mode(), _last_outputs(model.blocks.modules) as outputs:
        model.forward(encoding["input_ids"], encoding["attention_mask"])
    if all(isinstance(output, Tensor) for output in outputs):
        return None
    return "its blocks return tuples, so output[0] is the whole stream"


@dataclass(frozen=True)
class ReadingFault:
    """A mistake made when activations are read.

    Attributes:
        mistake: what is done wrong, in a sentence.
        capture: makes it.
        impossible: says why it cannot be made on a model, or None where it can.
    """

    name: str
    mistake: str
    capture: Capture
    impossible: Callable[[Model], str | None] = always_possible


def reading_faults(first_block: int, addition: NDArray[np.float32]) -> tuple[ReadingFault, ...]:
    """The table of reading faults.

    Args:
        first_block: where the steering begins that `view_edited_in_place` leaves on.
        addition: what it adds, (width,).
    """
    return (
        ReadingFault(
            "no chat template",
            "The bare prompt is tokenised, without the chat template.",
            no_chat_template,
        ),
        ReadingFault(
            "doubled BOS",
            "The rendered template is tokenised with special tokens added again.",
            doubled_bos,
            _adds_no_special_tokens,
        ),
        ReadingFault(
            "right padding",
            "Batches are padded on the right and read at −1, which is padding.",
            right_padding,
        ),
        ReadingFault(
            "no attention mask",
            "Batches are padded on the left and the mask is not passed on.",
            no_attention_mask,
        ),
        ReadingFault(
            "off-by-one block",
            "hidden_states[k] is taken for the stream after block k; it is the stream before it.",
            off_by_one_block,
        ),
        ReadingFault(
            "first token",
            "Position 0 is read instead of −1.",
            first_token,
        ),
        ReadingFault(
            "decoding step",
            f"The hook stays on while {RUN_ON} tokens are generated, and its last call is read.",
            last_call_of_generate,
        ),
        ReadingFault(
            "first row only",
            "output[0] is read of a bare tensor: the batch's first prompt stands for all.",
            first_row_only,
            returns_no_tensors,
        ),
        ReadingFault(
            "norm for stream",
            "The output of the block's input norm is read in place of the block's.",
            norm_for_stream,
            _has_no_entering_norms,
        ),
        ReadingFault(
            "final-normed block",
            "hidden_states[N] is taken for the stream after the last block; it is its final norm.",
            final_normed_last_block,
        ),
        ReadingFault(
            "view edited in place",
            "A view is kept, and a steering hook that was left on writes into it.",
            view_edited_in_place(first_block, addition),
        ),
        ReadingFault(
            "bfloat16",
            "The direction is read in bfloat16.",
            in_bfloat16,
            lambda model: _is_already(model, Precision.BFLOAT16),
        ),
        ReadingFault(
            "float16",
            "The direction is read in float16.",
            in_float16,
            lambda model: _is_already(model, Precision.FLOAT16),
        ),
    )


def _tokenized(model: Model, texts: list[str], side: str, **options: bool) -> BatchEncoding:
    encoding: BatchEncoding = model.tokenizer(
        texts, padding=True, padding_side=side, return_tensors="pt", **options
    )
    return encoding.to(model.device)


def _read(
    model: Model,
    encodings: Iterable[BatchEncoding],
    positions: Sequence[int],
    *,
    modules: Sequence[nn.Module] | None = None,
    stream: Callable[[BlockOutput], Tensor] = stream_of,
    run: Callable[[BatchEncoding], None] | None = None,
) -> NDArray[np.float32]:
    """Reads with plain forward hooks; without a mistake among its arguments, as it should be.

    Args:
        model: what is read.
        encodings: batches of prompts.
        positions: counted from each row's end.
        modules: what the hooks are on; the blocks, unless told.
        stream: what is taken of a module's output.
        run: runs a batch; one forward pass, unless told.

    Returns:
        (prompts, modules, positions, width).
    """

    def forward(encoding: BatchEncoding) -> None:
        model.forward(encoding["input_ids"], encoding["attention_mask"])

    batches = []
    for encoding in encodings:
        with torch.inference_mode(), _last_outputs(modules or model.blocks.modules) as outputs:
            (run or forward)(encoding)
        batches.append(pick([stream(output) for output in outputs], positions))
    return np.concatenate(batches)


def _run_plainly(model: Model, without: Sequence[str], encoding: BatchEncoding) -> None:
    """One forward pass without some of the arguments that `Model.forward` gives; positions then count padding."""
    arguments = model.arguments(encoding["input_ids"], encoding["attention_mask"])
    model.module(**{name: value for name, value in arguments.items() if name not in without}, use_cache=False)


@contextmanager
def _last_outputs(modules: Sequence[nn.Module]) -> Iterator[list[BlockOutput]]:
    """What each module returned when it was last called, not copied: filled in while the context is open."""
    outputs: list[BlockOutput] = [()] * len(modules)

    def hook(index: int) -> Callable[..., None]:
        return lambda _module, _inputs, output: outputs.__setitem__(index, output)

    handles = [module.register_forward_hook(hook(index)) for index, module in enumerate(modules)]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _entering_norms(model: Model) -> list[nn.Module] | None:
    return entering_norms(
        model.module, model.blocks, model.template.encode(["Hello"], model.device)["input_ids"]
    )


def _adds_no_special_tokens(model: Model) -> str | None:
    rendered = model.template.render("Hello")
    again = model.tokenizer(rendered)["input_ids"]
    if again == model.tokenizer(rendered, add_special_tokens=False)["input_ids"]:
        return "its tokenizer adds no special tokens"
    return None


def _has_no_entering_norms(model: Model) -> str | None:
    return None if _entering_norms(model) else "its blocks do not normalise the stream that enters them"


def _is_already(model: Model, precision: Precision) -> str | None:
    return f"the model is in {precision} already" if model.precision is precision else None
