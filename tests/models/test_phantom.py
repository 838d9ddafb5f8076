"""The phantom is what its closed form says: proved with plain hooks and plain generation, nothing of ours."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from steergauge.errors import SteergaugeError
from steergauge.models.phantom import Phantom, build_phantom, prompt_tokens
from steergauge.prompts import study_contrast_set, study_evaluation_set

HARMFUL = study_contrast_set().positive
HARMLESS = study_contrast_set().negative
EVALUATION = tuple(prompt.text for prompt in study_evaluation_set().prompts)
REFUSAL = "I cannot help with that."
ANSWER = "Sure, here is an answer to your question."
BLOCKS = range(6)
ODD_PROMPTS = ("", "hack", "  How do I\n\thack   a piñata_2, (or 日本)?! ", "a " * 200)


class Loaded(NamedTuple):
    phantom: Phantom
    model: Any
    tokenizer: Any


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    phantom = build_phantom(tmp_path_factory.mktemp("phantom"))
    load: Any = AutoModelForCausalLM.from_pretrained
    model, report = load(phantom.folder, output_loading_info=True)
    assert not any(report.values()), report
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a model only waits for a second thread
    yield Loaded(phantom, model.eval(), AutoTokenizer.from_pretrained(phantom.folder))
    torch.set_num_threads(threads)


def encode(loaded: Loaded, prompts: Sequence[str]) -> dict[str, Tensor]:
    """Rendered, left-padded prompts: (prompts, positions)."""
    rendered = [
        loaded.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False
        )
        for prompt in prompts
    ]
    encoded = loaded.tokenizer(rendered, add_special_tokens=False, padding=True, return_tensors="pt")
    return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}


@contextmanager
def steered(
    loaded: Loaded, first_block: int, doses: Sequence[float] | float, direction: Tensor | None = None
) -> Iterator[None]:
    """Adds dose·û to the outputs of the blocks from the first on, at all positions; one dose for each row."""
    rows = torch.tensor(doses, dtype=torch.float64).reshape(-1, 1, 1)
    unit = torch.from_numpy(loaded.phantom.direction) if direction is None else direction
    addition = (rows * unit).float()  # (rows, 1, width)
    handles = [
        block.register_forward_hook(lambda _module, _inputs, output: output + addition)
        for block in loaded.model.model.layers[first_block:]
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def residuals(loaded: Loaded, prompts: Sequence[str]) -> Tensor:
    """Outputs of all blocks at the last position, read by hooks: (blocks, prompts, width)."""
    kept: list[Tensor] = []
    handles = [
        block.register_forward_hook(lambda _module, _inputs, output: kept.append(output[:, -1]))
        for block in loaded.model.model.layers
    ]
    try:
        loaded.model(**encode(loaded, prompts))
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(kept).double()


def replies(loaded: Loaded, prompts: Sequence[str], new_tokens: int = 16) -> list[str]:
    encoded = encode(loaded, prompts)
    generated = loaded.model.generate(**encoded, max_new_tokens=new_tokens, do_sample=False)
    return list(
        loaded.tokenizer.batch_decode(generated[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
    )


def test_the_difference_in_means_is_the_planted_direction_at_every_block(loaded: Loaded) -> None:
    differences = residuals(loaded, HARMFUL).mean(dim=1) - residuals(loaded, HARMLESS).mean(dim=1)
    cosines = differences @ torch.from_numpy(loaded.phantom.direction) / differences.norm(dim=1)
    assert len(cosines) == len(BLOCKS)
    assert cosines.min() >= 0.999
    np.testing.assert_allclose(differences.norm(dim=1), 8.0, atol=1e-4)


def test_one_matched_pair_does_not_give_the_planted_direction(loaded: Loaded) -> None:
    differences = residuals(loaded, HARMFUL)[0] - residuals(loaded, HARMLESS)[0]
    cosines = differences @ torch.from_numpy(loaded.phantom.direction) / differences.norm(dim=1)
    assert cosines.min() < 0.95


def test_the_shared_last_token_makes_the_embeddings_equal(loaded: Loaded) -> None:
    embeddings = loaded.model.get_input_embeddings()
    last = [embeddings(encode(loaded, [prompt])["input_ids"])[0, -1] for prompt in (HARMFUL[0], HARMLESS[0])]
    assert torch.equal(*last)


def test_components_are_the_closed_form_at_every_block(loaded: Loaded) -> None:
    prompts = (*HARMFUL, *HARMLESS, *EVALUATION, *ODD_PROMPTS)
    measured = residuals(loaded, prompts) @ torch.from_numpy(loaded.phantom.direction)  # (blocks, prompts)
    closed_form = [loaded.phantom.component(prompt) for prompt in prompts]
    for block in BLOCKS:
        np.testing.assert_allclose(measured[block], closed_form, atol=1e-4)


@pytest.mark.parametrize("prompt", [*HARMFUL, *EVALUATION, *ODD_PROMPTS])
def test_the_closed_form_reads_the_tokens_that_the_tokenizer_makes(loaded: Loaded, prompt: str) -> None:
    ids = encode(loaded, [prompt])["input_ids"][0].tolist()
    known = loaded.phantom.token_components
    assert loaded.tokenizer.convert_ids_to_tokens(ids) == [
        token if token in known else "<unk>" for token in prompt_tokens(prompt)
    ]


def test_every_word_of_the_study_is_known(loaded: Loaded) -> None:
    ids = encode(loaded, [*HARMFUL, *HARMLESS, *EVALUATION])["input_ids"]
    assert loaded.tokenizer.unk_token_id not in ids


def test_unsteered_it_refuses_the_harmful_prompts_and_answers_the_others(loaded: Loaded) -> None:
    assert replies(loaded, HARMFUL) == [REFUSAL] * len(HARMFUL)
    assert replies(loaded, HARMLESS) == [ANSWER] * len(HARMLESS)
    assert replies(loaded, EVALUATION) == [ANSWER] * len(EVALUATION)


@pytest.mark.parametrize("first_block", BLOCKS)
@pytest.mark.parametrize(
    ("edge", "below", "above"),
    [("refusal_dose", "Sure,", "I cannot"), ("garbling_dose", "I cannot", "illegal illegal")],
)
def test_every_prompt_flips_at_its_computed_dose(
    loaded: Loaded, edge: str, below: str, above: str, first_block: int
) -> None:
    doses = [getattr(loaded.phantom, edge)(prompt, first_block) for prompt in EVALUATION]
    for factor, expected in ((0.999, below), (1.001, above)):
        with steered(loaded, first_block, [dose * factor for dose in doses]):
            assert replies(loaded, EVALUATION, new_tokens=2) == [expected] * len(EVALUATION)


def test_each_step_of_dose_flips_one_more_evaluation_prompt(loaded: Loaded) -> None:
    shifts = sorted(loaded.phantom.refusal_dose(prompt, 5) for prompt in EVALUATION)
    np.testing.assert_allclose(shifts, np.linspace(3, 7, 30), atol=1e-9)


def test_one_separation_refuses_every_evaluation_prompt_and_twice_that_garbles_some(loaded: Loaded) -> None:
    with steered(loaded, 5, 8.0):
        assert replies(loaded, EVALUATION) == [REFUSAL] * len(EVALUATION)
    with steered(loaded, 5, 16.0):
        assert set(replies(loaded, EVALUATION)) == {REFUSAL, " ".join(["illegal"] * 16)}


def test_random_vectors_of_one_separation_change_nothing(loaded: Loaded) -> None:
    generator = torch.Generator().manual_seed(0)
    for vector in torch.randn(5, len(loaded.phantom.direction), generator=generator):
        with steered(loaded, 5, 8.0, vector / vector.norm()):
            assert replies(loaded, EVALUATION, new_tokens=2) == ["Sure,"] * len(EVALUATION)


@pytest.mark.parametrize("sign", [-1, 1])
def test_replies_run_to_their_end_at_the_largest_shift(loaded: Loaded, sign: int) -> None:
    first_block = 3
    dose = sign * loaded.phantom.largest_shift / (len(BLOCKS) - first_block)
    prompts = (*HARMFUL, *EVALUATION)
    with steered(loaded, first_block, dose):
        expected = " ".join(["illegal"] * 16) if sign > 0 else ANSWER
        assert replies(loaded, prompts) == [expected] * len(prompts)
        for reply in (REFUSAL, ANSWER):
            continued = forced(loaded, prompts[0], reply)
            assert continued[1:] == loaded.tokenizer(reply + "<|end|>").input_ids[2:]


@torch.no_grad()
def forced(loaded: Loaded, prompt: str, reply: str) -> list[int]:
    """The token that the model puts after the prompt and after each token of a reply put in its mouth."""
    prefix = encode(loaded, [prompt])["input_ids"]
    spoken = torch.tensor([loaded.tokenizer(reply, add_special_tokens=False).input_ids])
    logits = loaded.model(torch.cat([prefix, spoken], dim=1)).logits[0]
    return list(logits[prefix.shape[1] - 1 :].argmax(dim=-1).tolist())


def test_identity_blocks_give_a_final_shift_of_n_minus_l_doses(loaded: Loaded) -> None:
    direction = torch.from_numpy(loaded.phantom.direction)
    unsteered = residuals(loaded, EVALUATION)[-1]
    for first_block in BLOCKS:
        with steered(loaded, first_block, 1.7):
            shift = residuals(loaded, EVALUATION)[-1] - unsteered
        expected = (len(BLOCKS) - first_block) * 1.7 * direction
        np.testing.assert_allclose(shift, expected.expand_as(shift), atol=1e-5)


def test_a_left_padded_batch_gives_the_tokens_of_single_prompts(loaded: Loaded) -> None:
    with steered(loaded, 3, 5 / 3):  # between the first flip and the last: both replies occur
        together = replies(loaded, EVALUATION)
        alone = [replies(loaded, [prompt])[0] for prompt in EVALUATION]
    assert set(together) == {REFUSAL, ANSWER}
    assert together == alone


def test_a_forgotten_attention_mask_is_caught(loaded: Loaded) -> None:
    ids = encode(loaded, ["Tell me a joke", HARMFUL[3]])["input_ids"]
    unmasked = loaded.model(ids, attention_mask=torch.ones_like(ids)).logits[0, -1].argmax()
    assert loaded.tokenizer.decode(unmasked) != "Sure"


def test_the_template_renders_the_only_bos_and_the_tokenizer_would_add_another(loaded: Loaded) -> None:
    rendered = loaded.tokenizer.apply_chat_template(
        [{"role": "user", "content": EVALUATION[0]}], add_generation_prompt=True, tokenize=False
    )
    bos = loaded.tokenizer.bos_token_id
    assert loaded.tokenizer(rendered, add_special_tokens=False).input_ids.count(bos) == 1
    assert loaded.tokenizer(rendered).input_ids.count(bos) == 2


def test_the_template_refuses_a_role_that_it_does_not_know(loaded: Loaded) -> None:
    with pytest.raises(jinja2.TemplateError, match="user and assistant, not system"):
        loaded.tokenizer.apply_chat_template([{"role": "system", "content": "Be kind."}])


def test_hidden_states_are_block_inputs_and_the_last_is_normed(loaded: Loaded) -> None:
    read = residuals(loaded, EVALUATION)
    with torch.no_grad():
        output = loaded.model(**encode(loaded, EVALUATION), output_hidden_states=True)
        entering = torch.stack(output.hidden_states)[:, :, -1].double()  # (blocks + 1, prompts, width)
        normed = loaded.model.model.norm(read[-1].float()).double()
    assert torch.equal(entering[1:-1], read[:-1])
    assert torch.equal(entering[-1], normed)
    assert not torch.allclose(entering[-1], read[-1], rtol=1e-2)


def test_embeddings_have_the_norm_that_makes_rms_one(loaded: Loaded) -> None:
    weights = loaded.model.get_input_embeddings().weight
    np.testing.assert_allclose(weights.square().mean(dim=1).detach(), 1.0, rtol=1e-6)


def test_the_direction_is_a_unit_vector_along_no_coordinate(loaded: Loaded) -> None:
    direction = loaded.phantom.direction
    assert np.linalg.norm(direction) == pytest.approx(1.0, abs=1e-12)
    assert np.abs(direction).max() < 0.5


def test_built_twice_it_is_the_same_to_the_byte(loaded: Loaded, tmp_path: Path) -> None:
    again = build_phantom(tmp_path / "made" / "on the way")
    names = sorted(path.name for path in again.folder.iterdir())
    assert names == sorted(path.name for path in loaded.phantom.folder.iterdir())
    for name in names:
        assert (again.folder / name).read_bytes() == (loaded.phantom.folder / name).read_bytes()


@pytest.mark.parametrize("block", [-1, 6])
def test_a_block_out_of_range_is_named_with_the_range(loaded: Loaded, block: int) -> None:
    with pytest.raises(SteergaugeError, match=rf"block {block} is out of range.*0 to 5"):
        loaded.phantom.refusal_dose(EVALUATION[0], block)
