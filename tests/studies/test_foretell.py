"""What a study will take, without fetching or loading anything."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from steergauge.errors import SteergaugeError
from steergauge.models import weights
from steergauge.models.phantom import Phantom
from steergauge.models.size import measure_size
from steergauge.report.study_plan import duration, render_plan
from steergauge.studies import foretell as module
from steergauge.studies.experiments.experiment import Work, gauge_work
from steergauge.studies.foretell import Basis, foretell, operations_per_second
from steergauge.studies.settings import GaugeSettings
from steergauge.studies.study_settings import StudiedModel
from tiny import plain


@pytest.fixture(autouse=True)
def _nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a plan fetches nothing")

    monkeypatch.setenv("STEERGAUGE_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("_from_wheels", "_from_hub", "_convert", "_build_phantom"):
        monkeypatch.setattr(weights, name, refuse)


@pytest.fixture
def _known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    def speed(_device: str, _dtype: torch.dtype, rows: int, _width: int) -> float:
        return 2e9 if rows == 512 else 1e9  # as fast as prompts are read, and at the rows that decode

    monkeypatch.setattr(module, "operations_per_second", speed)


def work(name: str, generations: int = 100, precision: str = "float32") -> Work:
    model = StudiedModel(name=name, precision=precision)
    return Work(model=model, what="grid", conditions=4, generations=generations, max_new_tokens=50)


@pytest.mark.parametrize("family", ["qwen2", "gemma2", "gpt2", "gpt-neox", "opt", "bloom", "gemma3-wrapper"])
def test_a_size_is_that_of_the_loaded_model(tiny_folder: Callable[[str], Path], family: str) -> None:
    model = plain(tiny_folder(family))
    size = measure_size(tiny_folder(family))
    embeddings = model.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    tied = model.get_output_embeddings().weight is embeddings.weight
    assert size.parameters == sum(one.numel() for one in model.parameters())
    assert size.looked_up == (0 if tied else embeddings.weight.numel())
    assert size.head == model.get_output_embeddings().weight.numel()
    with torch.inference_mode():
        kept = model(torch.tensor([[1, 2, 3]]), use_cache=True).past_key_values
    assert size.shape.cached == sum(layer.keys.numel() + layer.values.numel() for layer in kept.layers) / 3


@pytest.mark.usefixtures("_known_speed")
def test_time_is_two_operations_a_parameter_and_token_and_loading_counts_once(phantom: Phantom) -> None:
    size = measure_size(phantom.folder)
    first, second = foretell([work(str(phantom.folder)), work(str(phantom.folder))], "cpu")
    assert (first.basis, first.tokens, first.conditions) == (Basis.FILES, 5000, 4)
    multiplied = size.parameters - size.looked_up
    body = multiplied - size.shape.vocabulary * size.shape.width
    assert second.seconds == pytest.approx(2 * multiplied * 5000 / 0.7e9 + 2 * body * 100 * 16 / 2e9)
    assert first.seconds == pytest.approx((second.seconds or 0) + 4 * size.parameters / 2e8)


@pytest.mark.usefixtures("_known_speed")
def test_memory_grows_with_the_batch_up_to_what_is_generated(
    phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, program = str(phantom.folder), 5 * 2**20
    monkeypatch.setattr(module, "_program", lambda _device: program)
    one, many, most = (
        foretell([work(name, generations=64)], "cpu", batch)[0].gibibytes or 0 for batch in (1, 33, 1000)
    )
    weights_alone = one - (many - one) / 32
    assert weights_alone * 2**30 == pytest.approx(program + 4 * measure_size(phantom.folder).parameters)
    assert most == pytest.approx(weights_alone + 64 * (many - one) / 32)


@pytest.mark.usefixtures("_known_speed")
def test_memory_is_that_of_the_largest_stage_of_a_gauge(phantom: Phantom) -> None:
    model = StudiedModel(name=str(phantom.folder), precision="float32")
    settings = GaugeSettings(depths=(0.5,), doses=(1.0,), random_directions=1, max_new_tokens=50)
    one_dose = gauge_work(model, "grid", settings)
    assert one_dose.generations == 30 + 10 + 30 + 30
    assert one_dose.largest_stage == 30 + 10  # the control, on both sets
    more = gauge_work(model, "grid", settings.model_copy(update={"doses": (1.0, 2.0)}))
    assert more.largest_stage == 2 * 30
    assert more.with_more(3, 30).largest_stage == 3 * 30
    of_stage, of_all = foretell([one_dose, one_dose.model_copy(update={"largest_stage": None})], "cpu")
    (of_forty,) = foretell([one_dose.model_copy(update={"largest_stage": None})], "cpu", batch=40)
    assert of_stage.gibibytes == of_forty.gibibytes
    assert (of_stage.gibibytes or 0) < (of_all.gibibytes or 0)


@pytest.mark.usefixtures("_known_speed")
def test_a_model_that_is_not_here_is_estimated_from_the_catalogue() -> None:
    (small,) = foretell([work("qwen2.5-coder-0.5b", precision="bfloat16")], "cpu")
    assert small.basis is Basis.CATALOGUE
    assert small.gibibytes is not None
    assert small.gibibytes > 2 * 0.5e9 / 2**30
    assert small.seconds == pytest.approx(2 * 0.5e9 * (5000 / 0.7e9 + 1600 / 2e9) + 1e9 / 2e8)
    (by_id,) = foretell([work("Qwen/Qwen2.5-32B-Instruct")], "cpu")
    assert by_id.basis is Basis.CATALOGUE


@pytest.mark.parametrize("name", ["nobody/knows-this", "phantom"])
def test_a_model_that_nobody_knows_has_no_estimate_but_a_count(name: str) -> None:
    (unknown,) = foretell([work(name)], "cpu")
    assert (unknown.basis, unknown.gibibytes, unknown.seconds) == (Basis.NOTHING, None, None)
    assert unknown.tokens == 5000


def test_a_gguf_file_has_no_estimate_and_is_not_converted(tmp_path: Path) -> None:
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    (found,) = foretell([work(str(tmp_path / "mine.gguf"))], "cpu")
    assert found.basis is Basis.NOTHING


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("qwen2.5-coder-05b", "did you mean qwen2.5-coder-0.5b"),
        ("./nothing", "there is no file or folder"),
    ],
)
def test_a_wrong_name_is_told(name: str, words: str) -> None:
    with pytest.raises(SteergaugeError, match=words):
        foretell([work(name)], "cpu")


def test_a_wrong_precision_is_told() -> None:
    with pytest.raises(SteergaugeError, match="did you mean float32"):
        foretell([work("phantom", precision="flot32")], "cpu")


def test_speed_is_measured_and_plausible() -> None:
    speed = operations_per_second("cpu", torch.float32, 4, 64)
    assert 1e6 < speed < 1e13


@pytest.mark.usefixtures("_known_speed")
@pytest.mark.parametrize("width", [80, 120])
def test_a_plan_tells_its_parts_the_whole_and_what_it_could_not_know(width: int) -> None:
    parts = foretell([work("qwen2.5-32b"), work("nobody/knows")], "cpu")
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        render_plan(parts, console)
    text = captured.get()
    assert all(len(line) <= width for line in text.splitlines())
    flat = " ".join(text.split())
    assert "together" in flat
    assert "10,000" in flat
    assert "qwen2.5-32b, float32: not on this machine: estimated from the catalogue's numbers" in flat
    assert "nobody/knows, float32: neither loaded here before nor in the catalogue" in flat
    assert "the weights alone are more than the memory that is free now" in flat


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "–"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (5400, "1.5 h")]
)
def test_durations_are_said_as_people_say_them(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words
