"""The grid that is swept: the study's depths × six doses × its prompts, planned once for all processes."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

DEPTHS = (0.3, 0.4, 0.5, 0.6, 0.7)
NORM_FRACTIONS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3)  # raw doses, of R at the middle block
NEW_TOKENS = 100


class Row(NamedTuple):
    """One output to be made: places in the grid."""

    condition: int
    prompt: int


class Grid(BaseModel):
    """What is steered, and what is asked."""

    model_config = ConfigDict(frozen=True)

    first_blocks: tuple[int, ...] = Field(description="Where each condition's steering begins, to the last.")
    doses: tuple[float, ...] = Field(description="Each condition's, raw.")
    directions: tuple[tuple[float, ...], ...] = Field(description="Each condition's û.")
    blocks: int = Field(description="How many the model has.")
    parameters: int = Field(description="How many the model has.")
    cached: int = Field(description="Keys and values of one token in all blocks, in numbers.")
    folder: str = Field(description="The checkpoint's.")
    prompts: tuple[str, ...]
    rendered: tuple[str, ...] = Field(description="The prompts in the chat template.")
    token_ids: tuple[tuple[int, ...], ...] = Field(description="Of the rendered prompts.")
    stop_tokens: tuple[int, ...] = Field(description="What would end a reply.")

    def vector(self, condition: int) -> NDArray[np.float32]:
        """û, (width,)."""
        return np.array(self.directions[condition], dtype=np.float32)

    @property
    def outputs(self) -> int:
        """How many the whole grid has."""
        return len(self.doses) * len(self.prompts)

    def slice_of(self, number: int, conditions: int, prompts: int) -> list[Row]:
        """A round's rows: some conditions, each under the same prompts, in the order of a gauge.

        Rounds take conditions from all over the grid and begin with another prompt each; more prompts are the
        same ones and others.
        """
        order = np.random.default_rng(0).permutation(len(self.doses)).tolist()
        return [
            Row(
                order[(number * conditions + condition) % len(order)],
                (3 * number + prompt) % len(self.prompts),
            )
            for condition in range(conditions)
            for prompt in range(prompts)
        ]


def load_grid(path: Path) -> Grid:
    """Reads a saved grid."""
    return Grid.model_validate_json(path.read_text(encoding="utf-8"))


def by_condition(rows: Sequence[Row]) -> Iterator[tuple[int, list[int]]]:
    """Each condition, and the places of its rows among all."""
    for condition in dict.fromkeys(row.condition for row in rows):
        yield condition, [place for place, row in enumerate(rows) if row.condition == condition]


def plan(name: str) -> Grid:
    """Loads the model in float32, extracts DIM on the study's prompts and plans the grid."""
    from steergauge.models.loading import load_model  # noqa: PLC0415 - the driver reads grids without torch
    from steergauge.models.size import measure_size, shape_of  # noqa: PLC0415
    from steergauge.steering.steering import Steering  # noqa: PLC0415
    from steergauge.studies.prepare import prepare  # noqa: PLC0415
    from steergauge.studies.readings import Readings  # noqa: PLC0415
    from steergauge.studies.run import Silent  # noqa: PLC0415
    from steergauge.studies.settings import GaugeSettings  # noqa: PLC0415

    model = load_model(name, precision="float32")
    settings = GaugeSettings(depths=DEPTHS, norm_fractions=NORM_FRACTIONS)
    conditions = prepare(model, settings, Readings(), Silent()).conditions
    steerings = [one.steering for one in conditions if isinstance(one.steering, Steering)]
    prompts = [prompt.text for prompt in settings.evaluation_set.prompts]
    return Grid(
        first_blocks=tuple(one.first_block for one in steerings),
        doses=tuple(one.dose.value for one in conditions),
        directions=tuple(tuple(one.vector.tolist()) for one in steerings),
        blocks=len(model.blocks),
        parameters=measure_size(model.checkpoint.folder).parameters,
        cached=shape_of(model.module.config).cached,
        folder=str(model.checkpoint.folder),
        rendered=tuple(model.template.render(prompt) for prompt in prompts),
        token_ids=tuple(
            tuple(model.template.encode([prompt], "cpu")["input_ids"][0].tolist()) for prompt in prompts
        ),
        prompts=tuple(prompts),
        stop_tokens=model.stop_tokens,
    )


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(plan(sys.argv[1]).model_dump_json(), encoding="utf-8")
