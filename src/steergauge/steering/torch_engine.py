"""The reference engine: transformers, one batch of rows that each have their own condition."""

import gc
import itertools
import logging
import math
from collections.abc import Iterator, Sequence

import psutil
import torch
import transformers
from torch import Tensor

from steergauge.errors import InstrumentError, SteergaugeError
from steergauge.models.growing_text import decoded
from steergauge.models.loading import Model
from steergauge.models.size import Shape, shape_of
from steergauge.steering.engine import TOKENS_BETWEEN_ASKING, Generation, Request, distinct
from steergauge.steering.growing_cache import ROOM, growing_cache
from steergauge.steering.intervene import intervene
from steergauge.steering.positions import Positions, steered_tokens
from steergauge.steering.sampling import Draws

logger = logging.getLogger(__name__)

# Past this many rows matrix products gain little on a CPU.
_MOST_ROWS = 256
# Prompt tokens beside the new ones, for the estimate of memory; a longer prompt only makes it tighter.
_PROMPT_TOKENS = 64


class TorchEngine:
    """Decoding through `transformers`, on every device and for every decoder family."""

    name = "torch"

    def __init__(self, model: Model, wave_rows: int | None = None, max_new_tokens: int = 100) -> None:
        self.model = model
        self.version = f"1 (torch {torch.__version__}, transformers {transformers.__version__})"
        row = row_bytes(shape_of(model.module.config), model.precision.dtype.itemsize, max_new_tokens)
        self.wave_rows = wave_rows or rows_that_fit(row, free_memory(model.device))
        self._most_that_fit = 0

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        """Yields each request's generation as soon as its row ends; a batch that does not fit is halved.

        Raises:
            SteergaugeError: not even one row fits in memory; the largest batch that did is named.
            InstrumentError: the logits are not finite, or a token went unsteered.
        """
        waiting = [list(range(len(requests)))] if requests else []
        while waiting:
            rows, ended = waiting.pop(0), set[int]()
            try:
                for index, generation in self._decode([requests[row] for row in rows]):
                    ended.add(rows[index])
                    yield rows[index], generation
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not _is_out_of_memory(error):
                    raise
            else:
                self._most_that_fit = max(self._most_that_fit, len(rows))
                continue
            self._free()  # here, where the error no longer holds the batch's keys and values
            if len(rows) == 1:
                raise SteergaugeError(
                    f"out of memory with one row of {self.model.name}; the largest batch that fit had "
                    f"{self._most_that_fit} rows: use a smaller model, a lower precision or fewer tokens"
                )
            half = len(rows) // 2
            logger.warning("out of memory with %d rows; going on with %d", len(rows), half)
            left = [row for row in rows if row not in ended]
            waiting[:0] = [left[start : start + half] for start in range(0, len(left), half)]

    def _free(self) -> None:
        gc.collect()
        if self.model.device.startswith("cuda"):
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _decode(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        model = self.model
        encoding = model.template.encode([request.prompt for request in requests], model.device)
        new, mask = encoding["input_ids"], encoding["attention_mask"]  # (rows, tokens)
        prompt_tokens = mask.sum(dim=1)
        starts = [
            request.steering.positions.start(tokens, model.template.suffix_tokens)
            for request, tokens in zip(requests, prompt_tokens.tolist(), strict=True)
        ]
        limits = torch.tensor([request.decoding.max_new_tokens for request in requests], device=model.device)
        stops = torch.tensor(model.stop_tokens, dtype=torch.long, device=model.device)
        rows = torch.arange(len(requests), device=model.device)
        written = torch.empty((len(requests), 0), dtype=torch.long, device=model.device)
        draws = Draws(requests, model) if any(request.decoding.sampling for request in requests) else None
        cache = growing_cache(model.module.config)
        steerings, steering_of = distinct([request.steering for request in requests])
        intervention = intervene(steerings, model)
        with intervention.attached(model.blocks):
            which = torch.tensor(steering_of, device=model.device)
            window = getattr(model.module.config.get_text_config(), "sliding_window", None)
            # Padding after the prefix would count in a sliding window, so none may be full.
            sharing = window is None or window > new.shape[1] + int(limits.max())
            shared = _shared_prefix(new, mask) if sharing and len(steerings) < len(requests) else 0
            from_the_first = [one.positions is Positions.ALL for one in steerings]
            # What is shared is steered in all rows of a steering or in none.
            later = [start for start, of in zip(starts, steering_of, strict=True) if not from_the_first[of]]
            if shared := min([shared, *later]):
                # What all prompts begin with (the template's opening) runs once a steering, not once a row.
                begun = mask.new_ones(len(steerings), shared)
                intervention.expect(begun * mask.new_tensor(from_the_first)[:, None])
                opening = new[:1, -int(prompt_tokens[0]) :][:, :shared]
                model.forward(opening.expand(len(steerings), -1), begun, cache)
                cache.batch_select_indices(which)
                new, mask = _without_prefix(new, mask, shared)
            intervention.select(which)
            first = torch.tensor(starts, device=model.device)
            while len(rows):
                intervention.expect(steered_tokens(mask, first))
                logits = model.forward(new, mask, cache)
                chosen = self._likeliest(logits)
                if draws is not None:
                    chosen = draws.next_tokens(logits, chosen, rows, step=written.shape[1])
                del logits  # before the next pass makes its own
                written = torch.cat([written, chosen[:, None]], dim=1)
                stopped = torch.isin(chosen, stops)
                ended = stopped | (limits <= written.shape[1]) | self._decided(requests, rows, written)
                if ended.any():
                    self._require_every_token_steered(
                        intervention.steered_tokens[ended],
                        (prompt_tokens - first)[ended] + written.shape[1] - 1,
                    )
                    for row in torch.nonzero(ended).flatten().tolist():
                        yield int(rows[row]), self._generation(requests[int(rows[row])], written[row])
                    # Rows that have ended leave the batch, so short replies do not wait for long ones.
                    kept = torch.nonzero(~ended).flatten()
                    cache.batch_select_indices(kept)
                    intervention.select(kept)
                    rows, written, limits = rows[kept], written[kept], limits[kept]
                    mask, prompt_tokens, chosen = mask[kept], prompt_tokens[kept], chosen[kept]
                    first = first[kept]
                new = chosen[:, None]
                mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)

    def _likeliest(self, logits: Tensor) -> Tensor:
        best, chosen = logits.max(dim=-1)
        if not torch.isfinite(best).all():
            raise InstrumentError(
                f"the logits of {self.model.name} in {self.model.precision} are not finite under steering: "
                "use smaller doses, or a precision with more range (bfloat16, float32)"
            )
        return chosen

    def _decided(self, requests: Sequence[Request], rows: Tensor, written: Tensor) -> Tensor:
        """Which rows end here by their requests' stop rules, (rows,)."""
        decided = torch.zeros(len(rows), dtype=torch.bool)
        if written.shape[1] % TOKENS_BETWEEN_ASKING == 0:  # copied to the CPU only where somebody asks
            for place, (row, so_far) in enumerate(zip(rows.tolist(), written.tolist(), strict=True)):
                decided[place] = requests[row].decoding.decided(so_far)
        return decided.to(written.device)

    def _generation(self, request: Request, written: Tensor) -> Generation:
        tokens = tuple(written.tolist())
        finish = request.decoding.finish(tokens, self.model.stop_tokens)
        return Generation(decoded(self.model.tokenizer, tokens), tokens, finish)

    def _require_every_token_steered(self, steered: Tensor, expected: Tensor) -> None:
        if not torch.equal(steered, expected):
            raise InstrumentError(
                f"{self.model.name}: {steered.tolist()} tokens went through the steered block where "
                f"{expected.tolist()} should have; its blocks do not run once a step, so it can't be measured"
            )


def _shared_prefix(ids: Tensor, mask: Tensor) -> int:
    """How many tokens all left-padded prompts begin with; at least one is left to each."""
    prompts = [row[real.bool()].tolist() for row, real in zip(ids, mask, strict=True)]
    shortest = min(map(len, prompts))
    columns = zip(*(prompt[: shortest - 1] for prompt in prompts), strict=True)
    return sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))


def _without_prefix(ids: Tensor, mask: Tensor, shared: int) -> tuple[Tensor, Tensor]:
    """The rest of left-padded prompts, and the mask over the prefix and the rest."""
    rest = mask.clone()
    starts = ids.shape[1] - mask.sum(dim=1)
    rest[torch.arange(ids.shape[1], device=ids.device) < (starts + shared)[:, None]] = 0
    longest = int(rest.sum(dim=1).max())
    prefix = mask.new_ones(len(ids), shared)
    return ids[:, -longest:], torch.cat([prefix, rest[:, -longest:]], dim=1)


def row_bytes(shape: Shape, element: int, max_new_tokens: int) -> int:
    """What one row takes while it is decoded, in bytes, at `element` bytes a number."""
    prompt = (shape.cached + 8 * shape.width) * _PROMPT_TOKENS  # with what a block computes of it
    written = shape.cached * (_PROMPT_TOKENS + ROOM * math.ceil(max_new_tokens / ROOM))
    # One block after the other is narrowed, or given more room, and held twice for that moment.
    written += written // shape.blocks
    return element * (max(prompt, written) + shape.vocabulary)


def rows_that_fit(row: int, free: int) -> int:
    """A power of two whose rows of so many bytes take at most half of the free memory."""
    fit = max(1, free // 2 // row)
    return int(min(_MOST_ROWS, 1 << (fit.bit_length() - 1)))


def free_memory(device: str) -> int:
    """Bytes that are free where a device keeps its tensors."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # On the processor, under Windows, and on Apple's graphics.
    phrases = ("can't allocate memory", "not enough memory", "out of memory")
    return any(phrase in str(error) for phrase in phrases)
