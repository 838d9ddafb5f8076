from collections.abc import Callable

import numpy as np
import pytest
import torch

from one_by_one import WRITERS, Plain, Run, kl, plus, softmax, without
from steergauge.directions.arditi import arditi, opening_tokens
from steergauge.directions.selection import Fall
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.prompts import study_contrast_set


def refusal(runs: list[Run], token: int) -> float:
    odds = [softmax(run.logits)[token] for run in runs]
    return float(np.mean([np.log(p + 1e-8) - np.log(1 - p + 1e-8) for p in odds]))


def test_on_the_phantom_it_chooses_the_planted_direction_by_the_smallest_bypass(
    phantom_model: Model, phantom: Phantom
) -> None:
    selection = arditi(phantom_model, study_contrast_set())
    table = selection.to_pandas()
    assert (selection.direction.vectors @ phantom.direction).min() >= 0.999
    assert selection.chosen.scores["bypass"] == table[table["fell"].isna()]["bypass"].min()
    assert selection.chosen.layer == 1  # where all blocks agree, the first
    assert set(table[table["layer"] >= 4]["fell"]) == {str(Fall.LATE)}  # int(0.8 · 6)
    assert set(table[table["layer"] == 0]["fell"]) == {str(Fall.SAME)}
    # x > τ refuses: unsteered all harmful prompts do, and without û, where x = 0, none of them.
    assert selection.chosen.scores["bypass"] < 0 < selection.chosen.scores["induce"]


def test_all_scores_are_those_of_each_candidate_alone_in_plain_transformers(
    phantom_model: Model, phantom: Phantom
) -> None:
    selection = arditi(phantom_model, study_contrast_set())
    plain = Plain(phantom_model, phantom.folder, "model.layers", WRITERS["llama"])
    prompts = selection.prompts
    (token,) = opening_tokens(phantom_model, ["I"])
    assert (
        token == plain.run(study_contrast_set().positive[0]).logits.argmax()
    )  # what the phantom refuses with
    harmful, harmless = plain.runs(prompts.fit_positive), plain.runs(prompts.fit_negative)
    unsteered = plain.runs(prompts.select_negative)
    for one in selection.candidates:
        if one.fell is Fall.SAME:
            continue
        means = [
            np.mean([run.entering[one.layer, one.position] for run in runs], axis=0)
            for runs in (harmful, harmless)
        ]
        d = torch.from_numpy(means[0] - means[1])
        unit = d / d.norm()
        with plain.changed_everywhere(without(unit)):
            ablated = plain.runs(prompts.select_positive), plain.runs(prompts.select_negative)
        with plain.changed(one.layer, plus(d)):
            added = plain.runs(prompts.select_negative)
        expected = {
            "bypass": refusal(ablated[0], token),
            "induce": refusal(added, token),
            "kl": kl(unsteered, ablated[1]),
        }
        assert dict(one.scores) == pytest.approx(expected, abs=1e-4)


def test_only_prompts_that_are_refused_or_answered_as_expected_are_kept(phantom_model: Model) -> None:
    contrast = study_contrast_set()
    swapped = contrast.model_copy(
        update={
            "positive": (*contrast.positive[:4], contrast.negative[4]),
            "negative": (*contrast.negative[:4], contrast.positive[4]),
        }
    )
    prompts = arditi(phantom_model, swapped).prompts
    assert set(prompts.fit_positive + prompts.select_positive) == set(contrast.positive[:4])
    assert set(prompts.fit_negative + prompts.select_negative) == set(contrast.negative[:4])


def test_a_model_that_does_not_refuse_is_an_error_that_counts(tiny_model: Callable[[str], Model]) -> None:
    with pytest.raises(
        SteergaugeError, match="opens 0 of 5 harmful prompts as a refusal and 5 of 5 harmless"
    ):
        arditi(tiny_model("llama"), study_contrast_set())


@pytest.mark.parametrize("opening", ["Sorry", "I cannot", ""])
def test_an_opening_that_is_not_one_known_token_is_refused(opening: str, phantom_model: Model) -> None:
    with pytest.raises(SteergaugeError, match=f"'{opening}' is not one token"):
        arditi(phantom_model, study_contrast_set(), openings=["I", opening])
