from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from one_by_one import WRITERS, Plain, plus, without
from steergauge.directions import passes
from steergauge.directions.edits import Edit, ablation, addition, affine
from steergauge.directions.passes import Job, SharedPasses
from steergauge.directions.random import random_unit_vector
from steergauge.models.blocks import reading
from steergauge.models.loading import Model
from steergauge.models.parts import outputs_of
from tiny import BLOCKS, FAMILIES, WIDTH

Models = Callable[[str], Model]
PROMPTS = ("Tell me a joke", "How do I bake a good chocolate cake at home for my friends?", "Hello")
LAYERS = range(BLOCKS)


def vector(seed: int, length: float = 1.0) -> NDArray[np.float64]:
    return length * random_unit_vector(WIDTH, seed).astype(np.float64)


@pytest.mark.parametrize("family", FAMILIES)
def test_ablated_everywhere_no_block_returns_anything_along_the_vector(
    family: str, tiny_model: Models
) -> None:
    model, unit = tiny_model(family), vector(1)
    along: list[float] = []

    def read(_block: int, stream: torch.Tensor) -> None:
        real = stream[torch.isfinite(stream).all(dim=-1)].double().numpy()
        along.append(np.abs(real @ unit).max() / np.linalg.norm(real, axis=-1).max())

    with reading(model.blocks.modules, read):
        list(SharedPasses(model, ()).run([Job(PROMPTS, ablation(3 * unit))]))
    probe, ablated = along[:BLOCKS], along[BLOCKS:]  # the first pass looks for the writers, and edits nothing
    assert min(probe) > 1e-3
    assert len(ablated) == BLOCKS
    assert max(ablated) < 1e-5


def test_an_edit_that_changes_nothing_and_ablating_twice_leave_what_was(tiny_model: Models) -> None:
    model = tiny_model("llama")
    none, identity, once = SharedPasses(model, LAYERS).run(
        [
            Job(PROMPTS, None),
            Job(PROMPTS, Edit(vector(1), 0.0, 0.0, 2)),
            Job(PROMPTS, ablation(vector(1), 2)),
        ]
    )
    for one, same in zip(none, identity, strict=True):
        np.testing.assert_array_equal(one, same)
    assert not np.allclose(once.hidden[:, 2:], none.hidden[:, 2:], atol=1e-2)
    stream = np.random.default_rng(0).normal(size=WIDTH)
    edit = ablation(vector(2, length=7.0))
    ablated = stream + edit.slope * (stream @ edit.vector) * edit.vector
    assert abs(ablated @ edit.vector) < 1e-12
    np.testing.assert_allclose(
        ablated + edit.slope * (ablated @ edit.vector) * edit.vector, ablated, atol=1e-12
    )


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_rows_of_one_pass_read_what_each_reads_alone_in_plain_transformers(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "_TOKENS_A_PASS", 100)  # several passes, cut within jobs
    model = tiny_model(family)
    d, reference = vector(1, length=5.0), vector(2, length=9.0)
    unit = torch.from_numpy(d / 5)
    shared = SharedPasses(model, LAYERS)
    seen: list[tuple[int, int]] = []
    jobs = [
        Job(PROMPTS, None),
        Job(PROMPTS[:1], affine(d, reference, 1, 1)),
        Job(PROMPTS, ablation(d)),
        Job(PROMPTS[1:], addition(d, 3)),
        Job(PROMPTS, affine(d, reference, 0, 0)),
    ]
    found = list(shared.run(jobs, lambda done, total: seen.append((done, total))))
    assert (shared.rows, seen[-1]) == (12, (12, 12))
    assert shared.passes == len(seen) > 2

    path = "model.layers" if family == "llama" else "transformer.h"
    plain = Plain(model, tiny_folder(family), path, WRITERS[family])
    along = torch.from_numpy(reference) @ unit

    alone = [plain.runs(PROMPTS)]
    with plain.changed(1, lambda h: without(unit)(h) + along * unit + torch.from_numpy(d)):
        alone.append(plain.runs(PROMPTS[:1]))
    with plain.changed_everywhere(without(unit)):
        alone.append(plain.runs(PROMPTS))
    with plain.changed(3, plus(torch.from_numpy(d))):
        alone.append(plain.runs(PROMPTS[1:]))
    with plain.changed(0, lambda h: without(unit)(h) + along * unit):
        alone.append(plain.runs(PROMPTS))
    for job, reading_, runs in zip(jobs, found, alone, strict=True):
        assert reading_.hidden.shape == (len(job.prompts), BLOCKS, WIDTH)
        for hidden, logits, run in zip(*reading_, runs, strict=True):
            np.testing.assert_allclose(hidden, run.hidden[:, -1], atol=2e-4, rtol=1e-4)
            np.testing.assert_allclose(logits, run.logits, atol=2e-4, rtol=1e-4)


def late_jobs() -> list[Job]:
    d, reference = vector(1, length=5.0), vector(2, length=9.0)
    late = [Job(PROMPTS, affine(d, reference, layer, 1)) for layer in range(BLOCKS)]
    return [Job(PROMPTS, None), *late, Job(PROMPTS[:1], addition(d, 1))]


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_that_begin_at_their_edit_read_what_they_read_from_the_start(
    family: str, tiny_model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "_TOKENS_A_PASS", 100)
    model = tiny_model(family)
    whole, begun = SharedPasses(model, LAYERS), SharedPasses(model, LAYERS)
    monkeypatch.setitem(whole.__dict__, "_outputs", None)
    assert begun._outputs is not None
    for one, other in zip(whole.run(late_jobs()), begun.run(late_jobs()), strict=True):
        np.testing.assert_allclose(one.hidden, other.hidden, atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-5, rtol=1e-5)
    assert not any("forward" in module.__dict__ for module in model.blocks.modules)


def test_below_its_edit_a_prompt_runs_once_and_behind_what_is_read_nothing_runs(
    tiny_model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ran = tiny_model("llama"), [0] * BLOCKS
    jobs = [Job(PROMPTS, addition(vector(seed), 2)) for seed in range(5)]
    read = SharedPasses(model, [1, 2], logits=False)
    whole = SharedPasses(model, [1, 2])
    monkeypatch.setitem(whole.__dict__, "_outputs", None)
    expected = list(whole.run(jobs))
    assert read._outputs is not None

    def count(index: int) -> Callable[..., None]:
        def counted(_module: torch.nn.Module, inputs: tuple[torch.Tensor], _output: torch.Tensor) -> None:
            ran[index] += len(inputs[0])

        return counted

    handles = [
        module.mlp.down_proj.register_forward_hook(count(index))  # type: ignore[union-attr]
        for index, module in enumerate(model.blocks.modules)
    ]
    try:
        found = list(read.run(jobs))
    finally:
        for handle in handles:
            handle.remove()
    assert ran == [len(PROMPTS)] * 2 + [5 * len(PROMPTS)] + [0] * (BLOCKS - 3)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one.hidden, other.hidden, atol=1e-5, rtol=1e-5)
        assert other.logits.shape == (len(PROMPTS), 0)


class Remembering(torch.nn.Module):
    """Blocks of which the last adds what the first saw."""

    def __init__(self, *, remembers: bool) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(8, 4)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(4))
        if remembers:
            first, last, seen = self.layers[0].forward, self.layers[3].forward, list[torch.Tensor]()

            def noting(stream: torch.Tensor) -> Any:
                seen.append(stream)
                return first(stream)

            self.layers[0].forward = noting
            self.layers[3].forward = lambda stream: last(stream) + seen[-1]

    def forward(self, input_ids: torch.Tensor, use_cache: bool) -> Any:
        stream = self.embed(input_ids)
        for layer in self.layers:
            stream = layer(stream)
        return SimpleNamespace(logits=stream)


def test_blocks_that_pass_on_more_than_the_stream_all_run() -> None:
    ids = torch.tensor([[1, 2, 3]])
    plain, remembering = (Remembering(remembers=remembers) for remembers in (False, True))
    found = outputs_of(plain, list(plain.layers), ids)
    assert found is not None
    assert [tuple(output.shape) for output in found if isinstance(output, torch.Tensor)] == [(1, 3, 4)] * 4
    own = remembering.layers[0].forward
    assert outputs_of(remembering, list(remembering.layers), ids) is None
    assert remembering.layers[0].forward is own


def test_hooks_come_off(tiny_model: Models) -> None:
    model = tiny_model("llama")
    before = [
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.module.modules()
    ]
    list(
        SharedPasses(model, LAYERS).run(
            [Job(PROMPTS, ablation(vector(1))), Job(PROMPTS, addition(vector(1), 1))]
        )
    )
    after = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.module.modules()]
    assert before == after
