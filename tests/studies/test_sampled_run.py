"""Several samples of each prompt in a store: each is kept, and a run that was cut off goes on with the same ones."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from steered import example
from steergauge.models.loading import Model
from steergauge.prompts import study_evaluation_set
from steergauge.steering.engine import Decoding, Generation, Request, Sampling
from steergauge.steering.operation import Operation
from steergauge.steering.steering import unsteered
from steergauge.steering.torch_engine import TorchEngine
from steergauge.store import Store
from steergauge.studies.run import Made, Runner, Silent

ROWS = 5
PROMPTS = [prompt.text for prompt in study_evaluation_set().prompts[:3]]


class CutOff(TorchEngine):
    """Is stopped in the middle of a batch, after some that were whole."""

    def __init__(self, model: Model, whole: int) -> None:
        super().__init__(model)
        self._whole = whole

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        self._whole -= 1
        for number, made in enumerate(super().generate(requests)):
            if self._whole < 0 and number == 2:
                raise KeyboardInterrupt
            yield made


def asked(model: Model) -> list[Request]:
    """Each prompt unsteered and steered, once greedily and four times sampled."""
    steerings = [
        unsteered(len(model.blocks), model.blocks.width),
        example(model, 1, 1.0, Operation.ADD, seed=0),
    ]
    decodings = [Decoding(10), *(Decoding(10, Sampling(1.0, seed=7, sample=sample)) for sample in range(4))]
    return [
        Request(prompt, steering, decoding)
        for prompt in PROMPTS
        for steering in steerings
        for decoding in decodings
    ]


def run(model: Model, path: Path, engine: TorchEngine) -> tuple[list[Made], int]:
    with Store(path) as store:
        runner = Runner(model, engine, store, ROWS, Silent())
        return runner.run("samples", asked(model)), runner.made_now


def test_every_sample_is_kept_and_none_is_made_again(
    tiny_model: Callable[[str], Model], tmp_path: Path
) -> None:
    model = tiny_model("llama")
    made, count = run(model, tmp_path / "one.db", TorchEngine(model))
    assert count == len({one.key for one in made}) == 30
    assert len({one.generation.tokens for one in made}) > 20
    assert run(model, tmp_path / "one.db", TorchEngine(model)) == (made, 0)


def test_a_run_that_was_cut_off_goes_on_with_the_samples_of_one_that_was_not(
    tiny_model: Callable[[str], Model], tmp_path: Path
) -> None:
    model = tiny_model("llama")
    whole, _ = run(model, tmp_path / "whole.db", TorchEngine(model))
    with pytest.raises(KeyboardInterrupt):
        run(model, tmp_path / "cut.db", CutOff(model, whole=2))
    with Store(tmp_path / "cut.db") as store:
        assert set(store.generations()) == {one.key for one in whole[: 2 * ROWS]}
    assert run(model, tmp_path / "cut.db", TorchEngine(model)) == (whole, 20)
