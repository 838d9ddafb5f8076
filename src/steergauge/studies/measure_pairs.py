"""A contrast set on one model: token lengths, unsteered answers, labels, and the check of all three."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from steergauge.errors import SteergaugeError
from steergauge.judging.judges import DEFAULT_JUDGE, require_judge
from steergauge.models.loading import Model, load_model
from steergauge.prompts import ContrastSet, study_contrast_set
from steergauge.steering.engine import Decoding, Request
from steergauge.steering.steering import unsteered
from steergauge.steering.torch_engine import TorchEngine
from steergauge.store import Store, open_store
from steergauge.studies.describe import describe_model
from steergauge.studies.model_judge import open_judge
from steergauge.studies.outputs import evidence_place
from steergauge.studies.pairs import PairsResult, PromptReading, check_pairs
from steergauge.studies.run import Made, Progress, Runner, Silent


def measure_pairs(
    model: Model | str,
    contrast_set: ContrastSet | None = None,
    *,
    judge: str = DEFAULT_JUDGE,
    max_new_tokens: int = 100,
    store: Store | Path | str = "steergauge.db",
    progress: Progress | None = None,
) -> PairsResult:
    """Asks the unsteered model every prompt, and warns on what could make the direction another one.

    The answers are those of a gauge's control: the two find each other's in the store.

    Args:
        model: a loaded model, or what `load_model` takes.
        contrast_set: the prompts; the study's unless given.
        judge: who reads the answers.
        max_new_tokens: the most that an answer may have.
        store: where answers are kept and found again.
        progress: is told how it goes on.

    Raises:
        SteergaugeError: there is no such judge, or the model or the store cannot be used.
    """
    require_judge(judge)
    contrast_set = contrast_set or study_contrast_set()
    if max_new_tokens < 1:
        raise SteergaugeError(f"an answer needs at least one new token, not {max_new_tokens}")
    model = load_model(model) if isinstance(model, str) else model
    reader = open_judge(judge, model.device)
    prompts = [*contrast_set.positive, *contrast_set.negative]
    with open_store(store) as opened:
        engine, made = _answers(model, prompts, max_new_tokens, opened, progress or Silent())
        judged = opened.label(reader, {one.key: one.generation.text for one in made})
        description = describe_model(model, prompts[0])
        opened.describe_model(model.fingerprint, description.model_dump(mode="json"))
    readings = [
        PromptReading(
            side="positive" if row < len(contrast_set.positive) else "negative",
            prompt=prompt,
            tokens=len(model.tokenizer(prompt, add_special_tokens=False)["input_ids"]),
            label=judged[one.key].label,
            evidence=judged[one.key].evidence,
            **evidence_place(judged[one.key]),
            text=one.generation.text,
        )
        for row, (prompt, one) in enumerate(zip(prompts, made, strict=True))
    ]
    positive, negative = (
        [reading for reading in readings if reading.side == side] for side in ("positive", "negative")
    )
    return PairsResult(
        steergauge=version("steergauge"),
        model=description,
        engine=engine,
        judge=f"{reader.name} {reader.version}",
        max_new_tokens=max_new_tokens,
        check=check_pairs(
            contrast_set,
            [reading.tokens for reading in positive],
            [reading.tokens for reading in negative],
            [reading.label for reading in positive],
            [reading.label for reading in negative],
        ),
        prompts=readings,
    )


def _answers(
    model: Model, prompts: Sequence[str], max_new_tokens: int, store: Store, progress: Progress
) -> tuple[str, list[Made]]:
    """The engine's name and version, and the unsteered answers, one a prompt."""
    engine = TorchEngine(model, max_new_tokens=max_new_tokens)
    named = f"{engine.name} {engine.version}"
    study = {"model": model.fingerprint, "engine": named, "pairs": prompts, "max_new_tokens": max_new_tokens}
    resolved = store.resolve_run(study, {"wave_rows": engine.wave_rows})
    runner = Runner(model, engine, store, resolved["wave_rows"], progress)
    control = unsteered(len(model.blocks), model.blocks.width)
    requests = [Request(prompt, control, Decoding(max_new_tokens)) for prompt in prompts]
    return named, runner.run("unsteered answers", requests)
