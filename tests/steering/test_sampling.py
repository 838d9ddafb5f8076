"""Sampling: what a row draws, that its batch has no part in it, and that the draws are the distribution's."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax
from scipy.stats import chisquare
from torch import Tensor

from steered import example, run, uncached, with_frequent_stops
from steergauge.errors import InstrumentError
from steergauge.models.loading import Model, load_model
from steergauge.models.phantom import Phantom
from steergauge.prompts import study_evaluation_set
from steergauge.steering.engine import AnySteering, Decoding, Request, Sampling
from steergauge.steering.faults import CONTROL, PlainEngine
from steergauge.steering.operation import Operation
from steergauge.steering.sampling import invert, uniform_numbers
from steergauge.steering.steering import unsteered
from steergauge.steering.torch_engine import TorchEngine
from tiny import layers, plain

Models = Callable[[str], Model]
EVALUATION = tuple(prompt.text for prompt in study_evaluation_set().prompts)
FEW_FAMILIES = ["llama", "gemma3-text", "falcon"]
DRAWS = 4000


def none(model: Model) -> AnySteering:
    return unsteered(len(model.blocks), model.blocks.width)


def mixed_requests(model: Model) -> list[Request]:
    """Rows that differ in prompt, steering, tokens to write and decoding; each third one is greedy."""
    added = example(model, 1, 1.0, Operation.ADD, seed=0)
    clamped = example(model, 2, 2.0, Operation.CLAMP, seed=2)
    steerings = [none(model), added, clamped, none(model)]
    samplings = [
        None,
        Sampling(0.7, 0, 0),
        Sampling(1.3, 0, 1),
        None,
        Sampling(1.0, 5, 0),
        Sampling(0.7, 0, 1),
    ]
    limits = [12, 20, 7, 20, 1, 15, 18]
    return [
        Request(prompt, steerings[row % 4], Decoding(limits[row % 7], samplings[row % 6]))
        for row, prompt in enumerate(EVALUATION[:6] * 2)
    ]


def numbers_for(sampling: Sampling, rendered: str, tokens: int) -> NDArray[np.float64]:
    """The draws by numpy's own generator."""
    name = json.dumps([sampling.seed, sampling.sample, rendered])
    key = int(hashlib.sha256(name.encode()).hexdigest()[:32], base=16)
    return np.random.Generator(np.random.Philox(key=key)).random(tokens)


def by_definition(sampling: Sampling, rendered: str, tokens: int) -> Callable[[Tensor, int], int]:
    """Chooses a token by going through the probabilities one by one until they add up to more than the draw."""
    numbers = numbers_for(sampling, rendered, tokens)

    def choose(logits: Tensor, step: int) -> int:
        passed = 0.0
        for token, probability in enumerate(softmax(logits.double().numpy() / sampling.temperature)):
            passed += float(probability)
            if passed > numbers[step]:
                return token
        raise AssertionError("the probabilities add up to less than the draw")

    return choose


@pytest.mark.parametrize("family", FEW_FAMILIES)
def test_greedy_and_sampled_rows_of_one_batch_write_what_each_writes_alone(
    family: str, tiny_model: Models
) -> None:
    requests = mixed_requests(tiny_model(family))
    model = with_frequent_stops(tiny_model(family), requests)
    together = run(model, requests)
    assert together == [run(model, [request])[0] for request in requests]
    assert together[::-1] == run(model, requests[::-1])
    assert {made.finish for made in together} == {"stop", "length"}
    greedy = [
        dataclasses.replace(request, decoding=Decoding(request.decoding.max_new_tokens))
        for request in requests
    ]
    same = [one == other for one, other in zip(together, run(model, greedy), strict=True)]
    assert all(same[::3])
    assert sum(same) < len(same)


@pytest.mark.parametrize("family", FEW_FAMILIES)
def test_a_steered_sampled_text_is_that_of_a_loop_without_a_cache_that_draws_the_same(
    family: str, tiny_model: Models, tiny_folder: Callable[[str], Path]
) -> None:
    oracle = plain(tiny_folder(family))
    requests = [request for request in mixed_requests(tiny_model(family)) if request.decoding.sampling]
    model = with_frequent_stops(tiny_model(family), requests)
    for request, made in zip(requests, run(model, requests), strict=True):
        assert request.decoding.sampling is not None
        rendered = model.template.render(request.prompt)
        ids = model.template.encode([request.prompt], "cpu")["input_ids"]
        choose = by_definition(request.decoding.sampling, rendered, request.decoding.max_new_tokens)
        expected = uncached(oracle, layers(oracle, family), ids, request, model.stop_tokens, choose=choose)
        assert list(made.tokens) == expected


@pytest.mark.parametrize("temperature", [1e-6, 1e-300, 5e-324])
@pytest.mark.parametrize("family", FEW_FAMILIES)
def test_as_the_temperature_falls_to_0_the_text_becomes_the_greedy_one(
    family: str, temperature: float, tiny_model: Models
) -> None:
    model = tiny_model(family)
    steerings = [none(model), example(model, 1, 1.0, Operation.ADD, seed=0)]
    asked = [(prompt, steering) for prompt in EVALUATION[:4] for steering in steerings]
    cold, greedy, warm = (
        run(model, [Request(*one, Decoding(12, sampling)) for one in asked])
        for sampling in (Sampling(temperature, seed=3), None, Sampling(1.0, seed=3))
    )
    assert cold == greedy
    assert warm != greedy


@pytest.fixture(scope="module")
def first_tokens(tiny_model: Models, tiny_folder: Callable[[str], Path]) -> tuple[Model, NDArray[np.float64]]:
    """A model, and the logits of a first token by transformers alone."""
    model = tiny_model("llama")
    ids = model.template.encode([EVALUATION[0]], "cpu")["input_ids"]
    with torch.inference_mode():
        logits = plain(tiny_folder("llama"))(ids).logits[0, -1]
    return model, logits.double().numpy()


def counts_of(model: Model, samplings: Sequence[Sampling]) -> NDArray[np.int64]:
    """How often each token comes first, (vocabulary,)."""
    requests = [Request(EVALUATION[0], none(model), Decoding(1, sampling)) for sampling in samplings]
    first = [made.tokens[0] for made in run(model, requests)]
    return np.bincount(first, minlength=len(model.tokenizer))


def p_value(counts: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Pearson's χ² test of counts; tokens that are expected fewer than five times are taken together."""
    expected = probabilities * counts.sum()
    rare = expected < 5
    observed, foretold = (np.append(one[~rare], one[rare].sum()) for one in (counts, expected))
    some = foretold > 0
    assert some.sum() > 5
    return float(chisquare(observed[some], foretold[some]).pvalue)


@pytest.mark.parametrize(("varied", "temperature"), [("seed", 0.5), ("sample", 1.0), ("seed", 1.5)])
def test_first_tokens_come_as_often_as_the_softmax_says(
    varied: str, temperature: float, first_tokens: tuple[Model, NDArray[np.float64]]
) -> None:
    model, logits = first_tokens
    counts = counts_of(model, [Sampling(temperature, **{varied: number}) for number in range(DRAWS)])
    assert p_value(counts, softmax(logits / temperature)) > 0.01
    # The test would see another temperature, and the probabilities of other tokens.
    assert p_value(counts, softmax(logits / (1.5 * temperature))) < 1e-6
    assert p_value(counts, np.roll(softmax(logits / temperature), 1)) < 1e-6


def test_a_seed_and_a_sample_write_one_text_and_others_write_others(tiny_model: Models) -> None:
    model = tiny_model("llama")
    drawn = [Sampling(1.0, seed, sample) for seed in (0, 1) for sample in (0, 1, 2)]
    requests = [Request(EVALUATION[0], none(model), Decoding(16, one)) for one in drawn]
    made = run(model, requests)
    assert made == run(model, requests)
    assert len({one.text for one in made}) == len(drawn)


def test_a_longer_text_begins_with_the_shorter_one(tiny_model: Models) -> None:
    model = dataclasses.replace(tiny_model("llama"), stop_tokens=())
    requests = [Request(EVALUATION[0], none(model), Decoding(limit, Sampling(1.0))) for limit in (5, 20)]
    short, long = (made.tokens for made in run(model, requests))
    assert (len(short), len(long)) == (5, 20)
    assert long[:5] == short


def test_rows_whose_batch_did_not_fit_in_memory_draw_the_same_again(
    tiny_model: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    requests = mixed_requests(model)
    expected = run(model, requests)
    decode = TorchEngine._decode

    def cramped(self: TorchEngine, some: Sequence[Request]):  # type: ignore[no-untyped-def]
        for step, made in enumerate(decode(self, some)):
            if len(some) > 4 and step == 2:
                raise MemoryError
            yield made

    monkeypatch.setattr(TorchEngine, "_decode", cramped)
    assert run(model, requests) == expected


def test_logits_that_are_not_finite_are_an_error_where_a_row_samples(phantom: Phantom) -> None:
    model = load_model(str(phantom.folder), precision="bfloat16", device="cpu")
    broken = example(model, 2, 1e39, Operation.ADD, seed=0)
    requests = [
        Request(EVALUATION[0], none(model), Decoding(3)),
        Request(EVALUATION[1], broken, Decoding(3, Sampling(1.0))),
    ]
    with pytest.raises(InstrumentError, match=r"logits of .* in bfloat16 are not finite"):
        run(model, requests)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_low_precision_are_added_up_without_it(dtype: torch.dtype) -> None:
    """In bfloat16 a sum of equal weights stands still at 256 of them, in float16 at 2048."""
    tokens, draws = 5000, 200
    numbers = (torch.arange(draws, dtype=torch.float64) + 0.5) / draws
    chosen = invert(torch.ones((draws, tokens), dtype=dtype), torch.ones(draws, dtype=torch.float64), numbers)
    assert chosen.tolist() == [int(number * tokens) for number in numbers.tolist()]


def test_many_rare_tokens_behind_a_likely_one_are_not_lost() -> None:
    """In float32 none of them would add to 1."""
    rare, weight = 100_000, np.exp(-17.0)
    logits = torch.full((4, 1 + rare), -17.0)
    logits[:, 0] = 0
    asked = [0, 1, 50_000, rare - 1]  # of the rare ones, from 0
    numbers = torch.tensor(
        [(1 + (place + 0.5) * weight) / (1 + rare * weight) for place in asked], dtype=torch.float64
    )
    chosen = invert(logits, torch.ones(4, dtype=torch.float64), numbers)
    assert chosen.tolist() == [1 + place for place in asked]


def test_the_draws_stay_what_they_were_in_every_version() -> None:
    drawn = uniform_numbers(Sampling(1.0, seed=1, sample=2), "<user>hello 🌊", 3)
    assert drawn.tolist() == [0.4467935974298568, 0.7982500268100557, 0.3054366491598385]


@settings(max_examples=25)
@given(
    st.text(max_size=20), st.integers(0, 2**70), st.integers(0, 100), st.integers(1, 40), st.floats(1e-3, 10)
)
def test_draws_are_numpys_and_no_temperature_has_a_part_in_them(
    rendered: str, seed: int, sample: int, tokens: int, temperature: float
) -> None:
    drawn = uniform_numbers(Sampling(temperature, seed, sample), rendered, tokens)
    assert drawn.tolist() == numbers_for(Sampling(1.0, seed, sample), rendered, tokens).tolist()
    assert ((drawn >= 0) & (drawn < 1)).all()


@settings(max_examples=50)
@given(
    st.lists(st.floats(-100, 100) | st.just(-np.inf), min_size=2, max_size=30),
    st.sampled_from([0.0, 0.25, 0.5, float(np.nextafter(1, 0))]),
    st.floats(1e-3, 1e3),
)
def test_a_token_that_cannot_come_never_comes(logits: list[float], number: float, temperature: float) -> None:
    logits = [0.0, *logits]
    probabilities = softmax(np.array(logits) / temperature)
    (token,) = invert(
        torch.tensor([logits], dtype=torch.float64),
        torch.tensor([temperature], dtype=torch.float64),
        torch.tensor([number], dtype=torch.float64),
    ).tolist()
    before, upto = probabilities[:token].sum(), probabilities[: token + 1].sum()
    assert probabilities[token] > 0
    assert before - 1e-12 <= number <= upto + 1e-12


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_a_temperature_that_samples_nothing_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=r"needs one above 0; for greedy decoding leave it out"):
        Sampling(temperature)


@pytest.mark.parametrize(("seed", "sample"), [(-1, 0), (0, -1)])
def test_seeds_and_samples_count_from_0(seed: int, sample: int) -> None:
    with pytest.raises(ValueError, match="both count from 0"):
        Sampling(1.0, seed, sample)


def test_plain_hooks_decode_greedily_and_refuse_to_sample(phantom_model: Model) -> None:
    requests = [
        Request(prompt, none(phantom_model), Decoding(3, sampling))
        for prompt, sampling in zip(EVALUATION, (None, Sampling(1.0)), strict=False)
    ]
    engine = PlainEngine(phantom_model, CONTROL, EVALUATION[:2], wave_rows=2)
    with pytest.raises(ValueError, match="in greedy decoding"):
        list(engine.generate(requests))
