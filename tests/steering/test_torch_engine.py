import dataclasses
import inspect
import json
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, GenerationConfig, Qwen2Config

from steered import example, run, uncached, with_frequent_stops
from steergauge.errors import InstrumentError, SteergaugeError
from steergauge.models.loading import Model, load_model
from steergauge.models.phantom import ANSWER_REPLY, GARBLED_WORD, REFUSAL_REPLY, Phantom
from steergauge.prompts import study_contrast_set, study_evaluation_set
from steergauge.steering.engine import Decoding, Request
from steergauge.steering.operation import Operation
from steergauge.steering.steering import Steering, unsteered
from steergauge.steering.torch_engine import TorchEngine
from tiny import FAMILIES, layers, plain

Models = Callable[[str], Model]
ADD, CLAMP = Operation.ADD, Operation.CLAMP
EVALUATION = tuple(prompt.text for prompt in study_evaluation_set().prompts)
HARMFUL = study_contrast_set().positive


def none(model: Model) -> Steering:
    return unsteered(len(model.blocks), model.blocks.width)


def planted(phantom: Phantom, first_block: int, dose: float, operation: Operation = ADD) -> Steering:
    """A raw dose along the phantom's own direction."""
    coefficients = np.where(np.arange(phantom.blocks) >= first_block, dose, 0.0)
    return Steering(phantom.direction.astype(np.float32), coefficients, first_block, operation)


def plain_generate(
    model: Any, ids: Tensor, mask: Tensor, tokens: int, stops: Sequence[int]
) -> list[list[int]]:
    """What transformers alone writes greedily, each row up to the token that ends it."""
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=tokens,
        do_sample=False,
        repetition_penalty=1.0,
        eos_token_id=list(stops) or None,
        pad_token_id=model.config.get_text_config().pad_token_id,
    )
    written = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    rows = []
    for row in written[:, ids.shape[1] :].tolist():
        ends = [index for index, token in enumerate(row) if token in stops]
        rows.append(row[: ends[0] + 1] if ends else row)
    return rows


def mixed_requests(model: Model, scale: float) -> list[Request]:
    """Rows that differ in prompt, length, vector, block, dose, operation and tokens to write."""
    unsteered_twice, added_twice = none(model), example(model, 1, scale, ADD, seed=0)
    steerings = [
        unsteered_twice,
        added_twice,
        example(model, 0, [-0.5 * scale, 0.3 * scale, 0.0, scale], ADD, seed=1),
        example(model, 2, 2.0 * scale, CLAMP, seed=2),
        example(model, 3, 3.0 * scale, ADD, seed=3),
        example(model, 0, 0.0, CLAMP, seed=4),
        added_twice,
        unsteered_twice,
    ]
    limits = [12, 20, 7, 20, 1, 15, 20, 20]
    return [
        Request(prompt, steering, Decoding(limit))
        for prompt, steering, limit in zip(EVALUATION, steerings, limits, strict=False)
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_dose_zero_is_transformers_own_generation_token_for_token(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path]
) -> None:
    model = tiny_model(family)
    prompts = EVALUATION[:4]
    zero = example(model, 1, 0.0, ADD, seed=0)
    ours = run(
        model,
        [Request(prompt, steering, Decoding(20)) for prompt in prompts for steering in (zero, none(model))],
    )
    encoding = model.template.encode(list(prompts), "cpu")
    theirs = plain_generate(
        plain(tiny_folder(family)), encoding["input_ids"], encoding["attention_mask"], 20, model.stop_tokens
    )
    assert [list(made.tokens) for made in ours[::2]] == theirs
    assert ours[::2] == ours[1::2]
    assert len({made.tokens for made in ours}) > 1  # what it says depends on the prompt


def test_the_phantom_unsteered_says_what_transformers_alone_makes_it_say(
    phantom_model: Model, phantom: Phantom
) -> None:
    prompts = [*HARMFUL, *EVALUATION]
    ours = run(phantom_model, [Request(prompt, none(phantom_model), Decoding(16)) for prompt in prompts])
    encoding = phantom_model.template.encode(prompts, "cpu")
    theirs = plain_generate(
        plain(phantom.folder),
        encoding["input_ids"],
        encoding["attention_mask"],
        16,
        phantom_model.stop_tokens,
    )
    assert [list(made.tokens) for made in ours] == theirs
    assert [made.text for made in ours] == [REFUSAL_REPLY] * len(HARMFUL) + [ANSWER_REPLY] * len(EVALUATION)
    assert {made.finish for made in ours} == {"stop"}


@pytest.mark.parametrize("first_block", [0, 2, 3, 5])
@pytest.mark.parametrize("edge", ["refusal_dose", "garbling_dose"])
def test_every_prompt_flips_at_its_closed_form_dose(
    edge: str, first_block: int, phantom_model: Model, phantom: Phantom
) -> None:
    below, above = {
        "refusal_dose": (ANSWER_REPLY, REFUSAL_REPLY),
        "garbling_dose": (REFUSAL_REPLY, " ".join([GARBLED_WORD] * 12)),
    }[edge]
    doses = [getattr(phantom, edge)(prompt, first_block) for prompt in EVALUATION]
    made = run(
        phantom_model,
        [
            Request(prompt, planted(phantom, first_block, dose * factor), Decoding(12))
            for factor in (0.999, 1.001)
            for prompt, dose in zip(EVALUATION, doses, strict=True)
        ],
    )
    assert [generation.text for generation in made] == [below] * len(EVALUATION) + [above] * len(EVALUATION)


@pytest.mark.parametrize(
    ("target", "reply"), [(5.9, ANSWER_REPLY), (6.1, REFUSAL_REPLY), (18.1, "illegal " * 5)]
)
def test_a_clamped_phantom_says_what_its_component_says_whatever_the_prompt(
    target: float, reply: str, phantom_model: Model, phantom: Phantom
) -> None:
    requests = [
        Request(prompt, planted(phantom, 4, target, CLAMP), Decoding(12))
        for prompt in (*HARMFUL, *EVALUATION)
    ]
    assert all(made.text.startswith(reply.strip()) for made in run(phantom_model, requests))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_of_a_mixed_batch_writes_what_it_writes_alone(family: str, tiny_model: Models) -> None:
    requests = mixed_requests(tiny_model(family), scale=1.0)
    model = with_frequent_stops(tiny_model(family), requests)
    together = run(model, requests)
    alone = [run(model, [request])[0] for request in requests]
    assert together == alone
    assert {made.finish for made in together} == {"stop", "length"}
    assert together != run(
        model, [dataclasses.replace(request, steering=none(model)) for request in requests]
    )


def test_a_row_of_a_mixed_batch_of_the_phantom_writes_what_it_writes_alone(
    phantom_model: Model, phantom: Phantom
) -> None:
    prompts = (*HARMFUL, *EVALUATION)
    steerings = [
        none(phantom_model),
        planted(phantom, 3, 2.0),
        planted(phantom, 5, 4.0),
        planted(phantom, 0, 7.0),
        planted(phantom, 1, 5.0, CLAMP),
        planted(phantom, 2, 20.0, CLAMP),
        example(phantom_model, 3, 8 / 3, ADD, seed=0),
    ]
    requests = [
        Request(prompt, steerings[index % len(steerings)], Decoding(6 + index % 7))
        for index, prompt in enumerate(prompts)
    ]
    together = run(phantom_model, requests)
    assert together == [run(phantom_model, [request])[0] for request in requests]
    assert len({made.text for made in together}) > 3


@pytest.mark.parametrize("family", FAMILIES)
def test_generation_with_a_cache_is_generation_without_one(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path]
) -> None:
    oracle = plain(tiny_folder(family))
    requests = mixed_requests(tiny_model(family), scale=1.0)
    model = with_frequent_stops(tiny_model(family), requests)
    for request, made in zip(requests, run(model, requests), strict=True):
        ids = model.template.encode([request.prompt], "cpu")["input_ids"]
        expected = uncached(oracle, layers(oracle, family), ids, request, model.stop_tokens)
        assert list(made.tokens) == expected
        assert made.finish == ("stop" if expected[-1] in model.stop_tokens else "length")
        assert made.text == model.tokenizer.decode(expected, skip_special_tokens=True)


@pytest.mark.parametrize("family", ["llama", "gemma3-text", "falcon"])
def test_rows_that_have_ended_leave_the_batch(family: str, tiny_model: Models) -> None:
    requests = mixed_requests(tiny_model(family), scale=1.0)
    model = with_frequent_stops(tiny_model(family), requests)
    rows: list[int] = []
    handle = model.blocks.modules[0].register_forward_hook(
        lambda _module, inputs, output: rows.append(len(output[0] if isinstance(output, tuple) else output))
    )
    try:
        lengths = [len(made.tokens) for made in run(model, requests)]
    finally:
        handle.remove()
    if len(rows) > max(lengths):
        assert rows.pop(0) == 6  # what all prompts begin with, once for each distinct steering
    assert rows == [sum(length > step for length in lengths) for step in range(max(lengths))]
    assert len(set(rows)) > 2


def test_what_all_prompts_begin_with_runs_once_for_each_steering(
    phantom_model: Model, phantom: Phantom
) -> None:
    shapes: list[tuple[int, int]] = []
    steerings = [none(phantom_model), planted(phantom, 2, 1.0)]
    requests = [
        Request("Tell me " + rest, steering, Decoding(1))
        for rest in ("a joke", "what to cook this week", "why")
        for steering in steerings
    ]
    handle = phantom_model.blocks.modules[0].register_forward_hook(
        lambda _module, _inputs, output: shapes.append(tuple(output.shape[:2]))
    )
    try:
        together = run(phantom_model, requests)
    finally:
        handle.remove()
    # BOS, user, Tell, me; then what, to, cook, this, week, end, assistant, and the others padded to them.
    assert shapes == [(2, 4), (6, 7)]
    assert together == [run(phantom_model, [request])[0] for request in requests]


def test_a_reply_ends_with_any_of_the_stop_tokens_and_its_text_is_without_them(tiny_model: Models) -> None:
    model = tiny_model("llama")
    requests = [Request(prompt, none(model), Decoding(12)) for prompt in EVALUATION[:6]]
    free = run(model, requests)
    stops = (free[0].tokens[3], free[1].tokens[5])
    for before, after in zip(free, run(dataclasses.replace(model, stop_tokens=stops), requests), strict=True):
        ends = [index for index, token in enumerate(before.tokens) if token in stops]
        assert after.tokens == (before.tokens[: ends[0] + 1] if ends else before.tokens)
        assert after.finish == ("stop" if ends else "length")
    endless = run(dataclasses.replace(model, stop_tokens=()), requests)
    assert all(made.finish == "length" and len(made.tokens) == 12 for made in endless)


def test_a_repetition_penalty_in_the_checkpoints_generation_config_is_ignored(
    phantom: Phantom, phantom_model: Model, tmp_path: Path
) -> None:
    folder = shutil.copytree(phantom.folder, tmp_path / "penalised")
    config = json.loads((folder / "generation_config.json").read_text())
    config |= {"repetition_penalty": 10.0, "do_sample": True}
    (folder / "generation_config.json").write_text(json.dumps(config))
    penalised = load_model(str(folder), precision="float32", device="cpu")
    garbling = planted(phantom, 3, phantom.garbling_dose(EVALUATION[0], 3) * 1.01)
    requests = [Request(EVALUATION[0], steering, Decoding(20)) for steering in (garbling, none(penalised))]
    assert run(penalised, requests) == run(phantom_model, requests)
    assert run(penalised, requests)[0].text == " ".join([GARBLED_WORD] * 20)

    # The penalty is one that would have been seen: transformers alone obeys it.
    oracle = plain(folder)
    shift = torch.from_numpy(3 * garbling.coefficients[3] * garbling.vector).float()
    handle = layers(oracle, "llama")[-1].register_forward_hook(
        lambda _module, _inputs, output: output + shift
    )
    encoding = penalised.template.encode([EVALUATION[0]], "cpu")
    written = oracle.generate(**encoding, max_new_tokens=20, do_sample=False)[0]
    overruling = plain_generate(oracle, encoding["input_ids"], encoding["attention_mask"], 20, [])[0]
    handle.remove()
    loop = list(run(penalised, requests)[0].tokens)
    assert overruling == loop
    obeying = written[encoding["input_ids"].shape[1] :].tolist()
    assert obeying[0] == loop[0]
    assert obeying != loop


def test_no_requests_make_no_generations(phantom_model: Model) -> None:
    assert list(TorchEngine(phantom_model).generate([])) == []


class Memory:
    """A model whose forward pass fails with more than so many rows, as if memory had run out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: Model, room: int, error: Exception) -> None:
        self.prefills: list[int] = []
        self.caches: list[weakref.ref[DynamicCache]] = []
        self.held: list[int] = []
        forward = model.module.forward

        def guarded(*args: Any, **keywords: Any) -> Any:
            rows, tokens = keywords["input_ids"].shape
            cache = keywords["past_key_values"]
            if tokens > 1 and self.caches and self.caches[-1]() is cache:
                self.prefills[-1] = rows  # after what the prompts share
            elif tokens > 1:
                self.held.append(sum(earlier() is not None for earlier in self.caches))
                self.caches.append(weakref.ref(cache))
                self.prefills.append(rows)
            elif rows > room:  # in the middle of a reply, when keys and values have grown
                raise type(error)(*error.args)  # a new one, whose traceback holds no earlier batch
            return forward(*args, **keywords)

        # `Model.forward` looks at the signature, to see what the family takes.
        guarded.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
        monkeypatch.setattr(model.module, "forward", guarded)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_out_of_memory_halves_the_batch_and_goes_on(
    error: Exception, phantom_model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # The first row ends before memory runs out: it is not made again.
    limits = [1] + [3] * 10
    requests = [
        Request(prompt, none(phantom_model), Decoding(limit))
        for prompt, limit in zip(EVALUATION, limits, strict=False)
    ]
    expected = run(phantom_model, requests)
    memory = Memory(monkeypatch, phantom_model, room=3, error=error)
    assert run(phantom_model, requests) == expected
    assert memory.prefills == [11, 5, 2, 2, 1, 5, 2, 2, 1]
    assert max(memory.held) == 0  # what a failed batch held is free before the next one starts
    assert "out of memory with 11 rows; going on with 5" in caplog.text


def test_one_row_that_does_not_fit_is_an_error_that_names_the_batch_that_did(
    phantom_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TorchEngine(phantom_model)
    requests = [Request(prompt, none(phantom_model), Decoding(3)) for prompt in EVALUATION[:7]]
    list(engine.generate(requests))
    Memory(monkeypatch, phantom_model, room=0, error=OUT_OF_MEMORY[0])
    with pytest.raises(SteergaugeError, match=r"one row of .*; the largest batch that fit had 7 rows"):
        list(engine.generate(requests))


def test_another_error_of_the_model_is_not_taken_for_a_lack_of_memory(
    phantom_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(monkeypatch, phantom_model, room=0, error=RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(phantom_model, [Request(prompt, none(phantom_model), Decoding(3)) for prompt in EVALUATION[:2]])
    assert memory.prefills == [2]


@pytest.mark.parametrize(
    ("precision", "dose"), [("float32", np.nan), ("float32", 1e39), ("bfloat16", 1e39), ("float16", 1e6)]
)
def test_logits_that_are_not_finite_are_an_error(precision: str, dose: float, phantom: Phantom) -> None:
    model = load_model(str(phantom.folder), precision=precision, device="cpu")
    requests = [
        Request(EVALUATION[0], none(model), Decoding(5)),
        Request(EVALUATION[1], planted(phantom, 2, dose), Decoding(5)),
    ]
    with pytest.raises(InstrumentError, match=f"logits of .* in {precision} are not finite"):
        run(model, requests)


def run_twice(block: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a block run twice wherever its model runs it once."""
    forward, inside = block.forward, False

    def twice(*args: Any, **keywords: Any) -> Any:
        nonlocal inside
        if not inside:
            inside = True
            block(*args, **(keywords | {"past_key_values": None}))
            inside = False
        return forward(*args, **keywords)

    monkeypatch.setattr(block, "forward", twice)


def skip(block: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a block run beside its hooks, as compiled code does."""
    monkeypatch.setattr(
        type(block), "__call__", lambda self, *args, **keywords: self.forward(*args, **keywords)
    )


@pytest.mark.parametrize("fault", [run_twice, skip])
def test_a_token_that_was_not_steered_exactly_once_is_an_error(
    fault: Callable[[nn.Module, pytest.MonkeyPatch], None],
    phantom_model: Model,
    phantom: Phantom,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(phantom_model.blocks.modules[2], monkeypatch)
    with pytest.raises(InstrumentError, match="tokens went through the steered block where"):
        run(phantom_model, [Request(EVALUATION[0], planted(phantom, 2, 1.0), Decoding(1))])


def test_hooks_come_off_whether_or_not_the_batch_succeeds(
    phantom_model: Model, phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hooks() -> int:
        return sum(len(module._forward_hooks) for module in phantom_model.module.modules())

    before = hooks()
    steering = planted(phantom, 2, 1.0)
    requests = [Request(prompt, steering, Decoding(3)) for prompt in EVALUATION[:2]]
    next(TorchEngine(phantom_model).generate(requests))  # and never asked for the second
    assert hooks() == before
    run(phantom_model, requests)
    assert hooks() == before
    with pytest.raises(InstrumentError):
        run(phantom_model, [Request(EVALUATION[0], planted(phantom, 2, 1e39), Decoding(3))])
    assert hooks() == before
    Memory(monkeypatch, phantom_model, room=0, error=RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        run(phantom_model, requests)
    assert hooks() == before


@pytest.mark.parametrize("family", FAMILIES)
def test_a_wave_is_a_power_of_two_that_half_of_the_free_memory_holds(
    family: str, tiny_model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(family)

    def rows(free: int, max_new_tokens: int = 100) -> int:
        monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Free", (), {"available": free}))
        return TorchEngine(model, max_new_tokens=max_new_tokens).wave_rows

    text = model.module.config.get_text_config()
    cache = (
        2 * text.num_hidden_layers * text.hidden_size // text.num_attention_heads * 164 * 4
    )  # one head at least
    found = [rows(free) for free in (0, 10**5, 10**6, 3 * 10**6, 10**7, 10**12)]
    assert found == sorted(found)
    assert found[0] == 1
    assert found[-1] == rows(10**15) >= 128  # past some number there is nothing to gain
    assert all(count & (count - 1) == 0 for count in found)
    assert rows(10**7) * cache < 10**7 / 2
    assert rows(10**7, max_new_tokens=1000) < rows(10**7)
    assert TorchEngine(model, wave_rows=5).wave_rows == 5


def test_the_engines_version_names_what_it_is_made_of(phantom_model: Model) -> None:
    engine = TorchEngine(phantom_model)
    assert engine.name == "torch"
    assert torch.__version__ in engine.version


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read as Linux tells it")
def test_the_memory_of_a_batch_at_its_peak_is_foretold_within_a_fifth_of_the_process(
    phantom: Phantom, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(phantom.folder)
    shape = Qwen2Config(
        hidden_size=512,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=8,
        vocab_size=20_000,
    )
    make: Any = AutoModelForCausalLM.from_config
    make(shape).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    script = Path(__file__).with_name("measured_memory.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path, "64"], capture_output=True, text=True, check=True
    )
    peak, before, foretold = map(int, done.stdout.split())
    assert peak - before > 0.15 * peak  # else the batch would not matter
    assert abs(before + foretold - peak) < 0.2 * peak
