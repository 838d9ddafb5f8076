"""A model and a runner as vLLM has them, small enough to run here: layers that return (hidden, residual)."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steergauge.steering.vllm_worker import MARK

WIDTH = 16
BLOCKS = 4
VOCABULARY = 11


class FusedLayer(nn.Module):
    """Adds what the layer before left to the residual, and leaves its own part beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
        residual = hidden if residual is None else hidden + residual
        return torch.tanh(self.mix(residual)), residual


class FusedModel(nn.Module):
    """Tokens do not see each other: what a token becomes is known from it alone."""

    def __init__(self, blocks: int = BLOCKS) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(FusedLayer() for _ in range(blocks))
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden, residual = self.embed(tokens), None
        for layer in self.layers:
            hidden, residual = layer(hidden, residual)
        assert residual is not None
        stream: Tensor = hidden + residual
        return stream

    def compute_logits(self, streams: Tensor) -> Tensor:
        logits: Tensor = self.head(streams)
        return logits


class FusedRunner:
    """What a step of vLLM's runner does: prepare what is scheduled, run it, make the last tokens' logits."""

    def __init__(self, model: FusedModel | None = None) -> None:
        torch.manual_seed(3)
        self.model = model or FusedModel()
        self.requests: dict[str, Any] = {}
        self.tokens: dict[str, list[int]] = {}
        self.input_batch = SimpleNamespace(req_ids=[], num_computed_tokens_cpu=np.zeros(8, dtype=np.int32))

    def add(self, name: str, tokens: list[int], *, row: int, steering: int, start: int = 0) -> None:
        mark = {MARK: {"row": row, "steering": steering, "start": start}}
        self.requests[name] = SimpleNamespace(sampling_params=SimpleNamespace(extra_args=mark))
        self.tokens[name] = tokens

    def _prepare_inputs(self, scheduled: Any, tokens: NDArray[np.int32]) -> str:
        return f"{len(tokens)} requests prepared"

    @torch.inference_mode()
    def step(self, scheduled: dict[str, range]) -> dict[str, Tensor]:
        """Runs those positions of those requests in one pass; the streams that come out, (tokens, width)."""
        lengths = [len(positions) for positions in scheduled.values()]
        self.input_batch.req_ids = list(scheduled)
        for place, positions in enumerate(scheduled.values()):
            self.input_batch.num_computed_tokens_cpu[place] = positions.start
        prepared = self._prepare_inputs(None, np.array(lengths, dtype=np.int32))
        assert prepared == f"{len(scheduled)} requests prepared"
        flat = [self.tokens[name][one] for name, positions in scheduled.items() for one in positions]
        streams = self.model(torch.tensor(flat))
        self.model.compute_logits(streams[np.cumsum(lengths) - 1])
        return dict(zip(scheduled, streams.split(lengths), strict=True))
