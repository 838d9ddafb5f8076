from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from one_by_one import WRITERS, Plain, Run, cosine, kl, plus, without
from planted import PLANTED_LAYER, save_planted
from steergauge.activations.hooks import capture
from steergauge.directions import passes
from steergauge.directions.cosmic import cosmic_official, cosmic_study, latest_at_last_token
from steergauge.directions.dim import difference_in_means
from steergauge.directions.edits import Intervention
from steergauge.directions.fit import read_class
from steergauge.directions.selection import Candidate, Fall, NothingLeftError, Selection
from steergauge.directions.split import ClassSplit, Sizes, split_classes
from steergauge.directions.trials import Place
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model, load_model
from steergauge.models.phantom import Phantom
from steergauge.prompts import ContrastSet, study_contrast_set

Array = NDArray[np.float64]
PATHS = {"llama": "model.layers", "gpt2": "transformer.h"}


@pytest.fixture(scope="module")
def planted_model(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("planted")
    save_planted(folder, phantom)
    return load_model(str(folder), precision="float32", device="cpu")


def candidates_of(run: Callable[[], Selection]) -> tuple[Candidate, ...]:
    try:
        return run().candidates
    except NothingLeftError as error:
        return error.candidates


class OfficialOneByOne:
    """Methods.md §2.1 written out over plain transformers."""

    def __init__(self, plain: Plain, prompts: ClassSplit, positions: int) -> None:
        self.plain, self.prompts = plain, prompts
        harmful, harmless = plain.runs(prompts.fit_positive), plain.runs(prompts.fit_negative)
        ends = slice(-positions, None)
        self.reference = np.mean(
            [run.entering[:, ends] for run in harmless], axis=0
        )  # (layers, positions, width)
        self.d = np.mean([run.entering[:, ends] for run in harmful], axis=0) - self.reference
        last = [np.mean([run.hidden[:, -1] for run in runs], axis=0) for runs in (harmful, harmless)]
        similar = [cosine(one, other) for one, other in zip(*last, strict=True)]
        self.low = np.argsort(similar)[: max(1, int(0.1 * len(similar)))]
        self.harmful = plain.runs(prompts.select_positive)
        self.harmless = plain.runs(prompts.select_negative)

    def pooled(self, runs: list[Run]) -> Array:
        vectors = [run.hidden[layer, -1] for run in runs for layer in self.low]
        mean: Array = sum(vectors) / len(vectors)
        return mean

    @contextmanager
    def ablated(self, position: int, layer: int, intervention: Intervention) -> Iterator[None]:
        unit = torch.from_numpy(self.d[layer, position] / np.linalg.norm(self.d[layer, position]))
        to = torch.from_numpy(self.reference[layer, position]) @ unit

        if intervention is Intervention.AFFINE:
            with self.plain.changed(layer, lambda h: without(unit)(h) + to * unit):
                yield
        else:
            with self.plain.changed_everywhere(without(unit)):
                yield

    @contextmanager
    def added(self, position: int, layer: int, intervention: Intervention) -> Iterator[None]:
        d = torch.from_numpy(self.d[layer, position])
        unit = d / d.norm()
        to = torch.from_numpy(self.reference[layer, position]) @ unit
        if intervention is Intervention.AFFINE:
            with self.plain.changed(layer, lambda h: without(unit)(h) + to * unit + d):
                yield
        else:
            with self.plain.changed(layer, plus(d)):
                yield

    def scores(self, position: int, layer: int, intervention: Intervention) -> dict[str, float]:
        with self.ablated(position, layer, intervention):
            harmful, harmless = (
                self.plain.runs(prompts)
                for prompts in (self.prompts.select_positive, self.prompts.select_negative)
            )
        with self.added(position, layer, intervention):
            added = self.plain.runs(self.prompts.select_negative)
        return {
            "comply": cosine(self.pooled(harmful), self.pooled(self.harmless)),
            "refuse": cosine(self.pooled(added), self.pooled(self.harmful)),
            "kl": kl(self.harmless, harmless),
        }


@pytest.mark.parametrize("family", PATHS)
@pytest.mark.parametrize("intervention", Intervention)
def test_all_scores_are_those_of_each_candidate_alone_in_plain_transformers(
    family: str,
    intervention: Intervention,
    tiny_model: Callable[[str], Model],
    tiny_folder: Callable[[str], Path],
) -> None:
    model, contrast = tiny_model(family), study_contrast_set()
    candidates = candidates_of(lambda: cosmic_official(model, contrast, intervention=intervention))
    plain = Plain(model, tiny_folder(family), PATHS[family], WRITERS[family])
    prompts = split_classes(contrast.positive, contrast.negative, Sizes(180, 100), 0)
    alone = OfficialOneByOne(plain, prompts, positions=2)
    assert [(one.position, one.layer, one.block) for one in candidates] == [
        (position, layer, layer - 1) for position, layer in product((-2, -1), range(4))
    ]
    for one in candidates:
        if np.allclose(alone.d[one.layer, one.position], 0, atol=1e-12):
            assert (one.layer, one.fell) == (0, Fall.SAME)
            continue
        expected = alone.scores(one.position, one.layer, intervention)
        assert dict(one.scores) == pytest.approx(expected, abs=2e-6, rel=2e-6)
    assert sum(one.fell is Fall.SAME for one in candidates) == (2 if family == "llama" else 0)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("intervention", Intervention)
def test_the_layer_at_which_a_direction_is_planted_wins(
    intervention: Intervention, seed: int, planted_model: Model
) -> None:
    selection = cosmic_official(planted_model, study_contrast_set(), intervention=intervention, seed=seed)
    assert selection.chosen.layer == PLANTED_LAYER
    assert selection.block == PLANTED_LAYER - 1  # p_l is r_{l−1}
    assert selection.low_layers == (PLANTED_LAYER,)
    assert (selection.intervention, selection.method) == (intervention, "cosmic_official")


def test_in_the_study_s_variant_it_wins_too_and_past_all_that_is_read_nothing_is_changed(
    planted_model: Model,
) -> None:
    contrast = study_contrast_set()
    selection = cosmic_study(planted_model, contrast)
    assert (selection.chosen.layer, selection.block) == (PLANTED_LAYER - 1, PLANTED_LAYER - 1)  # its l is r_l
    assert selection.low_layers == (PLANTED_LAYER,)
    assert selection.prompts == (contrast.positive, contrast.negative) * 2
    table = selection.to_pandas()
    assert sorted(set(table["position"])) == [-5, -4, -3, -2, -1]
    assert sorted(set(table["layer"])) == list(range(1, 10))  # int(0.8 · 12)
    past = table[table["layer"] >= PLANTED_LAYER]
    assert len(set(past["comply"])) == len(set(past["refuse"])) == 1
    assert past["comply"].iloc[0] == past["refuse"].iloc[0]  # the same pairs, the other way round
    assert selection.rows == 10 + 5 * 5 * 10


def test_where_only_an_early_layer_is_read_the_study_s_first_candidate_wins(phantom_model: Model) -> None:
    # The phantom's blocks agree, so L_low is layer 1, and no candidate lies below it.
    selection = cosmic_study(phantom_model, study_contrast_set(), seed=5)
    table = selection.to_pandas()
    assert (selection.low_layers, selection.rows) == ((1,), 10)
    assert len(set(table["comply"] + table["refuse"])) == 1
    assert (selection.chosen.position, selection.chosen.layer) == (-5, 1)


@pytest.mark.parametrize("family", ["qwen2", "gemma2"])
def test_the_study_s_scores_are_those_of_each_candidate_alone_in_plain_transformers(
    family: str, tiny_model: Callable[[str], Model], tiny_folder: Callable[[str], Path]
) -> None:
    model, contrast = tiny_model(family), study_contrast_set()
    selection = cosmic_study(model, contrast)
    plain = Plain(model, tiny_folder(family), "model.layers", WRITERS["llama"])
    harmful, harmless = plain.runs(contrast.positive), plain.runs(contrast.negative)

    def paired(ours: list[Run], theirs: list[Run], layer: int) -> float:
        pairs = zip(ours, theirs, strict=True)
        return float(
            np.mean([cosine(one.hidden[layer, -1], other.hidden[layer, -1]) for one, other in pairs])
        )

    layers = range(1, 4)  # int(0.8 · 4) is the last
    low = min(layers, key=lambda layer: paired(harmful, harmless, layer))
    assert selection.low_layers == (low,)
    assert low > 1  # or nothing below is intervened on
    for one in selection.candidates:
        ablated, added = harmful, harmless
        if one.layer < low:
            means = [
                np.mean([run.entering[one.layer + 1, one.position] for run in runs], axis=0)
                for runs in (harmful, harmless)
            ]
            unit = torch.from_numpy((means[0] - means[1]) / np.linalg.norm(means[0] - means[1]))
            with plain.changed(one.layer + 1, without(unit)):
                ablated = plain.runs(contrast.positive)
            with plain.changed(one.layer + 1, plus(unit)):
                added = plain.runs(contrast.negative)
        expected = {"comply": paired(ablated, harmless, low), "refuse": paired(added, harmful, low)}
        assert dict(one.scores) == pytest.approx(expected, abs=2e-6)


def test_the_direction_is_the_difference_in_means_of_the_fitting_prompts_at_the_chosen_position(
    planted_model: Model,
) -> None:
    selection = cosmic_official(planted_model, study_contrast_set())
    position = selection.chosen.position
    positive, negative = (
        capture(planted_model, prompts, (position,)).at(position)
        for prompts in (selection.prompts.fit_positive, selection.prompts.fit_negative)
    )
    expected = difference_in_means(positive, negative)
    assert (selection.direction.position, selection.direction.method) == (position, "cosmic_official")
    np.testing.assert_allclose(selection.direction.vectors, expected.vectors, atol=1e-6)
    np.testing.assert_allclose(selection.direction.raw_norms, expected.raw_norms, rtol=1e-6)
    assert sum(selection.to_pandas()["chosen"]) == 1


def test_candidates_that_share_passes_score_as_they_do_alone(
    planted_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    together = cosmic_official(
        planted_model, study_contrast_set(), progress=lambda done, total: seen.append((done, total))
    )
    monkeypatch.setattr(passes, "_TOKENS_A_PASS", 1)  # a row a pass
    alone = cosmic_official(planted_model, study_contrast_set())
    assert (alone.passes, alone.rows) == (alone.rows, together.rows)
    assert together.passes < alone.passes / 20
    assert seen[-1] == (together.rows, together.rows)
    scores = ["comply", "refuse", "kl"]
    np.testing.assert_allclose(together.to_pandas()[scores], alone.to_pandas()[scores], atol=1e-6)


def peaks(best: dict[int, tuple[int, int]]) -> dict[Place, dict[str, float]]:
    """Scores of ten layers that have their best at the given layers, by position."""
    return {
        Place(position, layer): {"comply": float(layer == comply), "refuse": float(layer == refuse)}
        for position, (comply, refuse) in best.items()
        for layer in range(10)
    }


def test_the_last_token_is_bounded_by_the_lower_medians_of_the_other_positions_best_layers() -> None:
    assert latest_at_last_token(peaks({-5: (1, 9), -4: (2, 2), -3: (4, 3), -2: (8, 8), -1: (9, 9)})) == 3
    assert latest_at_last_token(peaks({-3: (7, 1), -2: (5, 2), -1: (0, 0)})) == 5  # the larger of the two
    assert latest_at_last_token(peaks({-1: (5, 5)})) == np.inf  # one position: no bound
    unknown = peaks({-2: (0, 0), -1: (0, 0)})
    unknown[Place(-2, 0)] = {"comply": np.nan, "refuse": np.nan}
    assert latest_at_last_token(unknown) == 1  # of equals the first; what is not a number is not best


@pytest.mark.parametrize("count", [1, 4])
def test_classes_that_the_variants_cannot_use_are_refused(count: int, planted_model: Model) -> None:
    contrast = study_contrast_set()
    uneven = contrast.model_copy(update={"negative": contrast.negative[:count]})
    with pytest.raises(
        SteergaugeError, match=f"compares pairs, and there are 5 positive and {count} negative"
    ):
        cosmic_study(planted_model, uneven)
    if count == 1:
        with pytest.raises(SteergaugeError, match="needs two of each at least"):
            cosmic_official(planted_model, uneven)
    else:
        assert cosmic_official(planted_model, uneven).chosen.layer == PLANTED_LAYER


def test_a_prompt_that_the_positions_reach_past_is_refused(phantom_model: Model) -> None:
    short = ContrastSet(
        name="short", positive=("hack",), negative=("bake",)
    )  # BOS, user, the word, end, assistant
    assert cosmic_study(phantom_model, short).chosen.fell is None
    with pytest.raises(SteergaugeError, match="a prompt of 5 tokens has no position -6"):
        read_class(phantom_model, short.positive, (-6, -1))
