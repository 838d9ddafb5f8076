"""How near a tie was where outputs part, against a steered pass of the tests' own; no engine is needed for it."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parents[1]))  # the benchmarks are no part of the package

from benchmarks import near_ties

from steered import run, steered_pass
from steergauge.directions.random import random_unit_vector
from steergauge.models.loading import Model
from steergauge.steering.engine import Decoding, Generation, Request
from steergauge.steering.steering import Steering


@pytest.fixture
def model(tiny_model: Callable[[str], Model]) -> Model:
    return tiny_model("qwen2")


@pytest.fixture
def steering(model: Model) -> Steering:
    onward = np.arange(len(model.blocks)) >= 1
    return Steering(random_unit_vector(model.blocks.width, 1), np.where(onward, 4.0, 0.0), 1)


@pytest.fixture
def request_(steering: Steering) -> Request:
    return Request("Tell me of bees.", steering, Decoding(5))


def test_a_margin_is_the_steered_models_at_the_first_tokens_that_differ(
    model: Model, request_: Request, steering: Steering
) -> None:
    logits = steered_pass(model, [request_.prompt], [steering]).logits[0].double()
    log_p = torch.log_softmax(logits, dim=-1)
    found = near_ties.margin(model, request_, (7, 3), (9, 3))
    assert found == pytest.approx(abs(float(log_p[7] - log_p[9])), abs=1e-5)


def test_an_output_that_ended_is_compared_by_its_end(model: Model, request_: Request) -> None:
    first = run(model, [request_])[0].tokens[0]
    found = near_ties.margin(model, request_, (first,), (first, 9))
    assert found == near_ties.margin(model, request_, (first, model.stop_tokens[0]), (first, 9))
    assert found == near_ties.margin(model, request_, (first, 9), (first,)) > 0


def test_outputs_and_labels_are_counted_and_equal_ones_have_no_margin(
    model: Model, request_: Request, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = Generation("I cannot help with that.", (7, 3), "length")
    normal = Generation("Bees live in hives.", (9, 3), "length")
    near_ties.report(model, [request_] * 2, "a", "b", [refused, normal], [normal, normal])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "a and b: 1 of 2 outputs equal"
    assert told[1:3] == [f"  labels of {judge}: 1 of 2 equal" for judge in ("study", "gauge")]
    margin = near_ties.margin(model, request_, refused.tokens, normal.tokens)
    assert told[3] == f"  where they part: |ln p − ln p'| median {margin:.3f}, most {margin:.3f}"
    near_ties.report(model, [request_], "a", "b", [normal], [normal])
    assert "part" not in capsys.readouterr().out
