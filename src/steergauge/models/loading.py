"""Loading a model: weights, tokenizer, template and blocks, verified before anything is measured."""

import hashlib
import inspect
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Cache,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from steergauge.errors import SteergaugeError
from steergauge.models.blocks import Blocks, find_blocks
from steergauge.models.heads import Heads, find_heads
from steergauge.models.precision import Precision, resolve_device
from steergauge.models.quantization import Quantization, Quantized
from steergauge.models.quantizations import resolve_format
from steergauge.models.quantize import count_quantized, quantize_blocks
from steergauge.models.template import ChatTemplate
from steergauge.models.weights import Checkpoint, resolve

logger = logging.getLogger(__name__)

_PROBE = "Hello"  # what the structure is verified on


@dataclass(frozen=True)
class Model:
    """Weights, tokenizer and precision, ready to be read and steered.

    The precision is that of the stream and, unless the model is quantised, of all weights.
    """

    checkpoint: Checkpoint
    module: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: ChatTemplate
    blocks: Blocks
    precision: Precision
    device: str
    fingerprint: str
    stop_tokens: tuple[int, ...]
    quantized: Quantized | None = None

    @property
    def name(self) -> str:
        """The name it was asked for by."""
        return self.checkpoint.name

    @cached_property
    def heads(self) -> Heads:
        """Its attention heads, found when they are first asked for.

        Raises:
            SteergaugeError: they are not found; other methods do without.
        """
        return find_heads(self.module, self.blocks, self.template.encode([_PROBE], self.device)["input_ids"])

    def forward(self, input_ids: Tensor, attention_mask: Tensor, cache: Cache | None = None) -> Tensor:
        """Runs the tokens that the cache does not hold yet.

        Args:
            input_ids: the new tokens, (rows, tokens).
            attention_mask: 1 for every real token so far, padding on the left, (rows, all tokens).
            cache: keys and values of the tokens before, extended in place.

        Returns:
            Logits of the last position, (rows, vocabulary).
        """
        logits: Tensor = self.module(
            **self.arguments(input_ids, attention_mask),
            past_key_values=cache,
            use_cache=cache is not None,
        ).logits
        return logits[:, -1]

    def arguments(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Any]:
        """What the module is called with, of that which its family takes; shapes as in `forward`."""
        optional = {
            # Counted without padding, for the families whose positions are absolute.
            "position_ids": (attention_mask.cumsum(dim=1) - 1).clamp(min=0)[:, -input_ids.shape[1] :],
            "logits_to_keep": 1,
        }
        taken = inspect.signature(self.module.forward).parameters
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            **{name: value for name, value in optional.items() if name in taken},
        }

    def greedy(self, max_new_tokens: int) -> GenerationConfig:
        """What transformers' own `generate` needs to decode as the engines do, whatever the checkpoint says."""
        return GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=max_new_tokens,
            do_sample=False,
            repetition_penalty=1.0,
            eos_token_id=list(self.stop_tokens) or None,
            pad_token_id=self.tokenizer.pad_token_id,
        )


def load_model(
    name: str, *, precision: str = "auto", device: str = "auto", template: str | None = None
) -> Model:
    """Loads a model by catalogue name, hub id, local folder or GGUF file.

    Args:
        name: what to load.
        precision: `auto`, `float32`, `bfloat16`, `float16`, or a quantisation (`models/quantizations.py`), with
            or without the precision of all else, as in `nf4-bitsandbytes/float32`.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        template: a Jinja chat template in place of the checkpoint's own.

    Raises:
        SteergaugeError: no such model, no tokenizer or chat template, weights that are damaged or not all
            there, a device or precision that is not there, a quantisation that the model's layers cannot have,
            or a model whose residual stream is not found.
    """
    device = resolve_device(device)
    resolved, quantization = resolve_format(precision, device)
    checkpoint = resolve(name, progress=logger.info)
    with _told(f"{name} has no tokenizer that transformers can load"):
        tokenizer = AutoTokenizer.from_pretrained(str(checkpoint.folder))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    source = template or tokenizer.chat_template
    if not isinstance(source, str):
        raise SteergaugeError(
            f"{name} has no chat template (a base model?): give one with --template FILE, "
            "a Jinja file that renders the role 'user'"
        )
    chat_template = ChatTemplate(tokenizer, source)
    logger.info("loading %s in %s on %s", name, resolved, device)
    with _told(f"{name} is not a decoder that transformers can load"):
        load: Any = AutoModelForCausalLM.from_pretrained
        module, report = load(str(checkpoint.folder), dtype=resolved.dtype, output_loading_info=True)
    if missing := sorted(report["missing_keys"]):
        # Transformers fills them with random numbers and goes on.
        raise SteergaugeError(
            f"the checkpoint of {name} lacks {len(missing)} weights, the first {missing[0]}"
        )
    module.requires_grad_(False)  # from_pretrained leaves it in evaluation mode
    weights = module.num_parameters()
    probe = chat_template.encode([_PROBE], "cpu")["input_ids"]
    if quantization is not None:
        logger.info("quantising the linear layers of its blocks to %s", quantization.name)
        quantize_blocks(module, find_blocks(module, probe), quantization, device)
    module.to(device)
    _read_head_in_one_product(module)
    blocks = find_blocks(module, probe.to(device))
    quantized = None
    if quantization is not None:
        quantized = count_quantized(module, blocks, quantization, resolved, of_weights=weights)
    return Model(
        checkpoint=checkpoint,
        module=module,
        tokenizer=tokenizer,
        template=chat_template,
        blocks=blocks,
        precision=resolved,
        device=device,
        fingerprint=_fingerprint(checkpoint, resolved, quantization, tokenizer, source),
        stop_tokens=_stop_tokens(module, tokenizer),
        quantized=quantized,
    )


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turns what transformers says of a folder that it cannot load into one line."""
    try:
        yield
    except (ValueError, RuntimeError, OSError, SafetensorError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise SteergaugeError(f"{what}: {lines[0] if lines else type(error).__name__}") from None


def _read_head_in_one_product(module: PreTrainedModel) -> None:
    """Makes the last position's states contiguous before the output head.

    As a slice of a prompt they are not, and torch then multiplies row by row, each with its own copy of the
    vocabulary matrix: 32 GB for 120 prompts of a 0.5B model in bfloat16.
    """
    head: nn.Module | None = module.get_output_embeddings()  # type: ignore[no-untyped-call]
    if head is not None:
        head.register_forward_pre_hook(lambda _module, inputs: (inputs[0].contiguous(), *inputs[1:]))


def _fingerprint(
    checkpoint: Checkpoint,
    precision: Precision,
    quantization: Quantization | None,
    tokenizer: PreTrainedTokenizerBase,
    template: str,
) -> str:
    parts = {
        "weights": checkpoint.digest,
        "precision": precision.value,
        "tokenizer": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
        "template": template,
    }
    if quantization is not None:
        parts["quantization"] = f"{quantization.name} by {quantization.library}"
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _stop_tokens(module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The ids that end a reply: the generation config's, which may be several, else the tokenizer's."""
    ids = module.generation_config.eos_token_id if module.generation_config else None
    if ids is None:
        ids = tokenizer.eos_token_id
    if ids is None:
        return ()
    return tuple(sorted(ids)) if isinstance(ids, list) else (ids,)
