"""Which engine runs, and why; and what is said where vLLM cannot."""

from types import SimpleNamespace
from typing import Any

import pytest

from commands import Run
from steergauge.errors import SteergaugeError
from steergauge.models.loading import Model
from steergauge.models.phantom import Phantom
from steergauge.steering import engines, vllm_engine
from steergauge.steering.engines import EngineChoice, EngineName, choose_engine, running_engine
from steergauge.steering.torch_engine import TorchEngine
from steergauge.steering.vllm_engine import VllmEngine, require_hooks_run, require_own_implementation


@pytest.mark.parametrize(
    ("asked", "device", "installed", "heads", "chosen", "why"),
    [
        ("torch", "cuda", True, False, "torch", "asked for"),
        ("vllm", "cpu", False, False, "vllm", "asked for"),
        ("auto", "cuda:0", True, False, "vllm", "installed and the model is on CUDA"),
        ("auto", "cuda", False, False, "torch", "not installed"),
        ("auto", "cpu", True, False, "torch", "the model is on cpu, not on CUDA"),
        ("auto", "cuda", True, True, "torch", "iti steers single attention heads"),
        ("torch", "cuda", True, True, "torch", "asked for"),
    ],
)
def test_the_engine_is_chosen_with_a_reason(  # noqa: PLR0917
    asked: str,
    device: str,
    installed: bool,
    heads: bool,
    chosen: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "is_installed", lambda: installed)
    choice = choose_engine(asked, device, steers_heads=heads)
    assert choice.name == chosen
    assert why in choice.why


@pytest.mark.parametrize(
    ("asked", "heads", "message"),
    [("vlm", False, "no engine 'vlm'.*vllm"), ("vllm", True, "use --engine torch, or leave iti out")],
)
def test_an_engine_that_cannot_is_refused(asked: str, heads: bool, message: str) -> None:
    with pytest.raises(SteergaugeError, match=message):
        choose_engine(asked, "cpu", steers_heads=heads)


def test_a_quantised_model_runs_in_torch_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "is_installed", lambda: True)
    choice = choose_engine("auto", "cuda", quantized=True)
    assert choice.name == "torch"
    assert "before they were quantised" in choice.why
    with pytest.raises(SteergaugeError, match=r"quantised.*--engine torch"):
        choose_engine("vllm", "cuda", quantized=True)


@pytest.mark.parametrize("asked", ["torch", "auto"])
def test_only_vllm_runs_on_several_devices(asked: str) -> None:
    with pytest.raises(SteergaugeError, match=r"--tensor-parallel 2: only vllm .* --engine vllm"):
        choose_engine(asked, "cpu", tensor_parallel=2)
    with pytest.raises(SteergaugeError, match="--tensor-parallel 0: give 1 or more"):
        choose_engine("vllm", "cpu", tensor_parallel=0)
    assert choose_engine("vllm", "cpu", tensor_parallel=2).tensor_parallel == 2


def test_torch_runs_as_it_is(phantom_model: Model) -> None:
    with running_engine(EngineChoice(EngineName.TORCH, ""), phantom_model, 7, 5) as engine:
        assert isinstance(engine, TorchEngine)
        assert engine.wave_rows == 7


def test_without_vllm_the_extra_is_named(phantom_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_engine, "is_installed", lambda: False)
    with pytest.raises(SteergaugeError, match=r"steergauge\[vllm\].*--engine torch"):
        VllmEngine(phantom_model)


def test_the_command_says_which_engine_runs_and_why(
    phantom: Phantom, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(vllm_engine, "is_installed", lambda: False)
    options = ["gauge", phantom.folder, "--device", "cpu", "--precision", "float32"]
    missing = run(*options, "--engine", "vllm")
    assert missing.code == 2
    assert "the engine vllm is not installed" in missing.err
    heads = run(*options, "--engine", "vllm", "--method", "iti")
    assert heads.code == 2
    assert "iti steers single attention heads" in heads.err
    made = run(*options, "--depths", "0.5", "--doses", "2", "--max-new-tokens", "4")
    assert made.code == 0, made.err
    assert "engine: torch (the reference; the model is on cpu, not on CUDA)" in caplog.messages


def configuration(**changed: Any) -> SimpleNamespace:
    """What vLLM's configuration says when steering goes with it."""
    flat = {
        "mode": 0,
        "cudagraph": "NONE",
        "caching": False,
        "speculative": None,
        "second_runner": False,
    } | changed
    return SimpleNamespace(
        compilation_config=SimpleNamespace(
            mode=flat["mode"], cudagraph_mode=SimpleNamespace(name=flat["cudagraph"])
        ),
        cache_config=SimpleNamespace(enable_prefix_caching=flat["caching"]),
        speculative_config=flat["speculative"],
        use_v2_model_runner=flat["second_runner"],
    )


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"mode": 3}, "compiled code"),
        ({"cudagraph": "PIECEWISE"}, "CUDA graphs"),
        ({"caching": True}, "the prefix cache"),
        ({"speculative": object()}, "speculative decoding"),
        ({"second_runner": True}, "its second model runner"),
    ],
)
def test_what_would_ignore_or_mix_up_steerings_is_refused_by_its_name(
    changed: dict[str, Any], named: str
) -> None:
    require_hooks_run(configuration())
    with pytest.raises(SteergaugeError, match=f"vLLM runs with {named},"):
        require_hooks_run(configuration(**changed))


def test_a_family_that_vllm_would_run_through_transformers_is_refused_by_its_name() -> None:
    def answering(through_transformers: bool) -> SimpleNamespace:
        told = {
            "architectures": ["GPTNeoXForCausalLM"],
            "using_transformers_backend": lambda: through_transformers,
        }
        return SimpleNamespace(model_config=SimpleNamespace(**told))

    require_own_implementation(answering(False))
    with pytest.raises(SteergaugeError, match="no implementation of GPTNeoXForCausalLM"):
        require_own_implementation(answering(True))
