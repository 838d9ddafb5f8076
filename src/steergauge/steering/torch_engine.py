"""The reference engine: transformers, one batch of rows that each have their own condition."""

import gc
import logging
from collections.abc import Iterator, Sequence

import psutil
import torch
import transformers
from torch import Tensor
from transformers import DynamicCache

from steergauge.errors import InstrumentError, SteergaugeError
from steergauge.models.loading import Model
from steergauge.steering.engine import Generation, Request
from steergauge.steering.intervention import Intervention

logger = logging.getLogger(__name__)

# Past this many rows matrix products gain little on a CPU.
_MOST_ROWS = 128
# Prompt tokens beside the new ones, for the estimate of memory; a longer prompt only makes it tighter.
_PROMPT_TOKENS = 64


class TorchEngine:
    """Greedy decoding through `transformers`, on every device and for every decoder family."""

    name = "torch"

    def __init__(self, model: Model, wave_rows: int | None = None, max_new_tokens: int = 100) -> None:
        self.model = model
        self.version = f"1 (torch {torch.__version__}, transformers {transformers.__version__})"
        self.wave_rows = wave_rows or _rows_that_fit(model, max_new_tokens)
        self._most_that_fit = 0

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        """Yields the generations of a batch when it is done; a batch that does not fit is halved.

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
                self._free()
                if len(rows) == 1:
                    raise SteergaugeError(
                        f"out of memory with one row of {self.model.name}; the largest batch that fit had "
                        f"{self._most_that_fit} rows: use a smaller model, a lower precision or fewer tokens"
                    ) from None
                half = len(rows) // 2
                logger.warning("out of memory with %d rows; going on with %d", len(rows), half)
                left = [row for row in rows if row not in ended]
                waiting[:0] = [left[start : start + half] for start in range(0, len(left), half)]
            else:
                self._most_that_fit = max(self._most_that_fit, len(rows))

    def _free(self) -> None:
        gc.collect()
        if self.model.device.startswith("cuda"):
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _decode(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        model = self.model
        encoding = model.template.encode([request.prompt for request in requests], model.device)
        new, mask = encoding["input_ids"], encoding["attention_mask"]
        prompt_tokens = mask.sum(dim=1)
        limits = torch.tensor([request.decoding.max_new_tokens for request in requests], device=model.device)
        stops = torch.tensor(model.stop_tokens, dtype=torch.long, device=model.device)
        rows = torch.arange(len(requests), device=model.device)
        written = torch.empty((len(requests), 0), dtype=torch.long, device=model.device)
        cache = DynamicCache(config=model.module.config)
        intervention = Intervention([request.steering for request in requests], model.device)
        with intervention.attached(model.blocks):
            while len(rows):
                intervention.expect(mask)
                best, chosen = model.forward(new, mask, cache).max(dim=-1)
                if not torch.isfinite(best).all():
                    raise InstrumentError(
                        f"the logits of {model.name} in {model.precision} are not finite under steering: "
                        "use smaller doses, or a precision with more range (bfloat16, float32)"
                    )
                written = torch.cat([written, chosen[:, None]], dim=1)
                stopped = torch.isin(chosen, stops)
                ended = stopped | (limits <= written.shape[1])
                if ended.any():
                    self._require_every_token_steered(
                        intervention.steered_tokens[ended], prompt_tokens[ended] + written.shape[1] - 1
                    )
                    for row in torch.nonzero(ended).flatten().tolist():
                        yield int(rows[row]), self._generation(written[row], bool(stopped[row]))
                    # Rows that have ended leave the batch, so short replies do not wait for long ones.
                    kept = torch.nonzero(~ended).flatten()
                    cache.batch_select_indices(kept)
                    intervention.narrow(kept)
                    rows, written, limits = rows[kept], written[kept], limits[kept]
                    mask, prompt_tokens, chosen = mask[kept], prompt_tokens[kept], chosen[kept]
                new = chosen[:, None]
                mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)

    def _generation(self, written: Tensor, stopped: bool) -> Generation:
        text = self.model.tokenizer.decode(written, skip_special_tokens=True)
        return Generation(str(text), tuple(written.tolist()), "stop" if stopped else "length")

    def _require_every_token_steered(self, steered: Tensor, expected: Tensor) -> None:
        if not torch.equal(steered, expected):
            raise InstrumentError(
                f"{self.model.name}: {steered.tolist()} tokens went through the steered block where "
                f"{expected.tolist()} should have; its blocks do not run once a step, so it can't be measured"
            )


def _rows_that_fit(model: Model, max_new_tokens: int) -> int:
    """A power of two whose keys, values and logits take at most half of the free memory."""
    text = model.module.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    element = model.precision.dtype.itemsize
    tokens = _PROMPT_TOKENS + max_new_tokens
    cached = 2 * text.num_hidden_layers * heads * width * tokens * element
    # Narrowing the cache holds it twice for a moment; logits are held beside their maxima.
    row = 2 * cached + 2 * text.vocab_size * element + 8 * _PROMPT_TOKENS * text.hidden_size * element
    if model.device.startswith("cuda"):
        free = torch.cuda.mem_get_info(model.device)[0]
    else:
        free = psutil.virtual_memory().available
    fit = max(1, free // 2 // row)
    return int(min(_MOST_ROWS, 1 << (fit.bit_length() - 1)))


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # On the processor, under Windows, and on Apple's graphics.
    phrases = ("can't allocate memory", "not enough memory", "out of memory")
    return any(phrase in str(error) for phrase in phrases)
