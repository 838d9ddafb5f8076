"""vLLM itself, unsteered, with what the vllm engine asks of it."""

import os
from collections.abc import Sequence

from benchmarks.sweep.grid import Grid, Row
from benchmarks.sweep.ways import Run

_MOST_ROWS = 256
_ROOM = 256  # tokens a row


def start(name: str, precision: str, grid: Grid) -> Run:
    """Its own `LLM.generate`; nothing of steergauge runs."""
    os.environ |= {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_USE_V2_MODEL_RUNNER": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
    }
    import vllm  # noqa: PLC0415 - after its environment

    numbers = {"float32": 4}.get(precision, 2)
    engine = vllm.LLM(
        model=grid.folder,
        dtype=precision,
        skip_tokenizer_init=True,
        max_model_len=-1,
        max_num_seqs=_MOST_ROWS,
        enforce_eager=True,
        enable_prefix_caching=False,
        kv_cache_memory_bytes=max(1 << 28, _MOST_ROWS * _ROOM * grid.cached * numbers),
    )

    def run(rows: Sequence[Row], tokens: int) -> list[list[int]]:
        outputs = engine.generate(
            [{"prompt_token_ids": list(grid.token_ids[row.prompt])} for row in rows],
            vllm.SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False),
            use_tqdm=False,
        )
        return [list(output.outputs[0].token_ids) for output in outputs]

    return run
