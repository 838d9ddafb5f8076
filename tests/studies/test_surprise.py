"""How surprising outputs are to the unsteered model, against transformers alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from steergauge.models.loading import Model
from steergauge.models.phantom import ANSWER_REPLY, Phantom
from steergauge.prompts import study_evaluation_set
from steergauge.steering.engine import Decoding, Request
from steergauge.steering.steering import unsteered
from steergauge.steering.torch_engine import TorchEngine
from steergauge.studies.surprise import Surprise, measure_surprise
from tiny import FAMILIES, plain

PROMPTS = [prompt.text for prompt in study_evaluation_set().prompts[:7]]
OUTPUTS = [tuple(range(7, 7 + length)) for length in (1, 3, 10, 11, 25, 2, 14)]
SOME = ("qwen2", "gpt2", "falcon-alibi", "gemma3-text")


def alone(model: Model, folder: Path, prompt: str, output: tuple[int, ...]) -> list[float]:
    """−ln p of each token, one output at a time, by a log-softmax over everything."""
    ids = model.tokenizer(model.template.render(prompt), add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = plain(folder)(torch.tensor([[*ids, *output]])).logits[0].double()
    logs = logits.log_softmax(dim=-1)
    return [-float(logs[len(ids) - 1 + place, token]) for place, token in enumerate(output)]


@pytest.mark.parametrize("family", SOME)
def test_in_batches_it_is_what_transformers_alone_gives(
    family: str, tiny_model: Callable[[str], Model], tiny_folder: Callable[[str], Path]
) -> None:
    assert family in FAMILIES
    found = measure_surprise(tiny_model(family), PROMPTS, OUTPUTS)
    for prompt, output, surprise in zip(PROMPTS, OUTPUTS, found, strict=True):
        nats = alone(tiny_model(family), tiny_folder(family), prompt, output)
        windows = [np.mean(nats[start : start + 10]) for start in range(max(len(nats) - 9, 1))]
        assert surprise.mean == pytest.approx(np.mean(nats), rel=1e-4)
        assert surprise.window == pytest.approx(max(windows), rel=1e-4)
        assert surprise.window >= surprise.mean - 1e-9 or len(nats) > 10


def test_what_the_model_says_itself_surprises_it_least(phantom_model: Model, phantom: Phantom) -> None:
    still = unsteered(len(phantom_model.blocks), phantom_model.blocks.width)
    requests = [Request(prompt, still, Decoding(12)) for prompt in PROMPTS]
    made = dict(TorchEngine(phantom_model).generate(requests))
    assert {one.text for one in made.values()} == {ANSWER_REPLY}
    own = [made[row].tokens for row in range(len(PROMPTS))]
    said = measure_surprise(phantom_model, PROMPTS, own)
    shuffled = measure_surprise(phantom_model, PROMPTS, [tokens[::-1] for tokens in own])
    assert all(one.mean < 0.1 for one in said)
    assert all(one.mean > 5 for one in shuffled)


def test_the_window_finds_a_bad_stretch_that_the_mean_hides() -> None:
    from steergauge.studies.surprise import _summary

    nats = [0.1] * 80 + [9.0] * 10 + [0.1] * 10
    assert _summary(nats) == pytest.approx(Surprise(mean=0.99, window=9.0))


def test_progress_counts_outputs(phantom_model: Model) -> None:
    told: list[tuple[int, int]] = []
    measure_surprise(phantom_model, PROMPTS, OUTPUTS, lambda done, total: told.append((done, total)))
    assert told == [(4, 7), (7, 7)]


def test_nothing_to_read_is_nothing_read(phantom_model: Model) -> None:
    assert measure_surprise(phantom_model, [], []) == []
