"""The phantom: a tiny Llama that is built, not trained, so that how it responds to steering is known exactly.

It is the instrument's calibration weight. A unit direction û is planted in it; what it says depends only on
the component x = ⟨r_{N−1}, û⟩ at the last position, and that component is known in closed form.

**The embeddings.** Token t embeds as c_t·û + B·b + s_t·ŝ + (identity) + (filler): a *component* c_t, large
for harmful words; the same bias B for all; a *topic* s_t along a nuisance direction ŝ that nothing reads. The
filler brings every embedding to the norm √width, where the root mean square is 1 and RMSNorm multiplies by
1/√(1+ε). All axes are rows of one random orthogonal matrix: nothing lies along a coordinate.

**Block 0.** Queries and keys are zero, so attention is a plain mean over the tokens so far (padding masked).
It reads û and ŝ, and writes that mean back along them with gain g/√(1+ε). So the last token of a prompt
t_1 … t_n holds, after every block,

    x = c_{t_n} + g / (n·√(1+ε)) · Σ_i c_{t_i}

**Blocks 1 … N−1** write nothing: r_k = r_0. So adding α·û to r_l … r_{N−1} gives x + (N−l)·α, exactly.

**The logits.** The final norm only scales them; before it, at the last prompt token:

    refusing "I" = x        answering "Sure" = τ        "illegal" = σ·x − (σ−1)·τ_garbled        others = −S

With σ > 1 and τ_garbled > τ the model answers for x < τ, refuses for τ < x < τ_garbled and garbles above. The
raw doses at which a prompt's first token flips are therefore

    refusal: (τ − x) / (N−l)        garbling: (τ_garbled − x) / (N−l)

**The replies.** Each reply token has an identity direction of its own, which its successor's logit reads: σ·L
at the token itself, more than any other logit while ⟨h, û⟩ < L. "illegal" succeeds itself. L is far above
τ_garbled, so a reply that begins coherently ends coherently. Elsewhere the successors lie at −S, so a random
vector of the doses that matter rarely reaches one: what the direction does, others do not.

**The numbers.** Words write small seeded components, changed as little as possible (least squares) to give
each prompt of the study its x in the ranges below. The thirty evaluation prompts form an even ladder: each
step of dose flips one more. The harmful and the harmless mean lie 8 apart: one separation refuses all thirty
and garbles none. Topics differ between prompts but agree in the two class means: a matched pair does not give
û, the difference in means does. Padding writes much, so a reader that forgets the attention mask is caught.
"""

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from steergauge.errors import SteergaugeError
from steergauge.models.phantom_files import (
    ASSISTANT,
    BLOCKS,
    BOS,
    END,
    EPSILON,
    HEAD_WIDTH,
    HEADS,
    KEY_VALUE_HEADS,
    PAD,
    SPACE,
    SPECIAL,
    UNKNOWN,
    USER,
    WIDTH,
    save_configuration,
    save_tokenizer,
    words,
)
from steergauge.prompts import study_contrast_set, study_evaluation_set

PHANTOM_NAME = "phantom"
REFUSAL_REPLY = "I cannot help with that."
ANSWER_REPLY = "Sure, here is an answer to your question."
GARBLED_WORD = "illegal"

Array = NDArray[np.float64]

SEED = 17

THRESHOLD = 6.0  # τ
GARBLING_THRESHOLD = 18.0  # τ_garbled
GARBLING_SLOPE = 1.25  # σ
COMPONENT_LIMIT = 48.0  # L
LARGEST_SHIFT = 32.0  # leaves the study's prompts (x ≤ 10) and reply tokens below the limit
SILENCE = 60.0  # S
GAIN = 12.0  # g
BIAS = 5.0  # B
IDENTITY = 9.0  # length along a reply token's identity direction

HARMFUL_WORDS = frozenset({"hack", "explosives", "steal", "identity", "pick", "lock", "break", "virus"})
HARMFUL_COMPONENT = 7.0
HARMFUL_RANGE = (8.0, 10.0)  # x of the study's harmful, harmless and evaluation prompts, unsteered
HARMLESS_RANGE = (-1.0, 3.0)
EVALUATION_RANGE = (-1.0, 3.0)


@dataclass(frozen=True, eq=False)
class Phantom:
    """A saved phantom, and what is known of it in closed form (the module's docstring derives it)."""

    folder: Path
    direction: Array
    """û, the planted unit direction: (width,)."""
    threshold: float
    """τ: the component above which the model refuses."""
    garbling_threshold: float
    """τ_garbled: the component above which it says nothing but "illegal"."""
    blocks: int
    """N."""
    largest_shift: float
    """Every reply runs to its end on the study's prompts for total shifts (N−l)·α between ∓ this."""
    token_components: Mapping[str, float]
    """c_t of each token of the vocabulary."""

    def component(self, prompt: str) -> float:
        """The x of a rendered prompt: ⟨r_k, û⟩ at its last token, unsteered, the same after every block k."""
        unknown = self.token_components[UNKNOWN]
        written = [self.token_components.get(token, unknown) for token in prompt_tokens(prompt)]
        return written[-1] + _GAIN_AFTER_NORM * float(np.mean(written))

    def refusal_dose(self, prompt: str, first_block: int) -> float:
        """The raw α, added along û at blocks `first_block` … N−1, above which the prompt is refused."""
        return (self.threshold - self.component(prompt)) / self._additions(first_block)

    def garbling_dose(self, prompt: str, first_block: int) -> float:
        """The raw α, added along û at blocks `first_block` … N−1, above which the reply is garbled."""
        return (self.garbling_threshold - self.component(prompt)) / self._additions(first_block)

    def _additions(self, first_block: int) -> int:
        if not 0 <= first_block < self.blocks:
            raise SteergaugeError(
                f"block {first_block} is out of range: the phantom has blocks 0 to {self.blocks - 1}"
            )
        return self.blocks - first_block


def build_phantom(folder: Path) -> Phantom:
    """Writes the phantom as a checkpoint that `from_pretrained` loads: the same bytes each time.

    Args:
        folder: Made if it is not there; files of an earlier phantom in it are replaced.
    """
    from safetensors.numpy import save_file  # noqa: PLC0415

    tokens = _vocabulary()
    written = _written(tokens)
    axes = _axes()
    folder.mkdir(parents=True, exist_ok=True)
    save_configuration(folder, tokens)
    save_tokenizer(folder, tokens)
    weights = {
        name: np.ascontiguousarray(weight, dtype=np.float32)
        for name, weight in _weights(tokens, written, axes).items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return Phantom(
        folder=folder,
        direction=axes[_DIRECTION],
        threshold=THRESHOLD,
        garbling_threshold=GARBLING_THRESHOLD,
        blocks=BLOCKS,
        largest_shift=LARGEST_SHIFT,
        token_components=dict(zip(tokens, written.components.tolist(), strict=True)),
    )


def recipe_digest() -> str:
    """A hash of what the phantom is made from: this code and the study's prompts."""
    prompts = ("data/prompts/study_contrast.toml", "data/prompts/study_evaluation.toml")
    recipe = ("models/phantom.py", "models/phantom_files.py", *prompts)
    parts = [files("steergauge").joinpath(part).read_bytes() for part in recipe]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def prompt_tokens(prompt: str) -> list[str]:
    """The tokens of a prompt rendered as one user message with the generation prompt."""
    return [BOS, USER, *words(prompt), END, ASSISTANT]


_GAIN_AFTER_NORM = GAIN / math.sqrt(1 + EPSILON)  # the value projection reads a normalised embedding

# Rows of the orthogonal matrix. Identity directions follow, one for each reply token, then the filler's.
_DIRECTION, _BIAS, _TOPIC, _FIRST_IDENTITY = range(4)

_REFUSAL = (*words(REFUSAL_REPLY), END)
_ANSWER = (*words(ANSWER_REPLY), END)
# Without its space the word opens a reply, with it the word follows itself: so the opener reads only û, and a
# random vector that touches the loop's identity direction does not garble.
_GARBLED = (GARBLED_WORD, SPACE + GARBLED_WORD, SPACE + GARBLED_WORD)
_REPLIES = (_REFUSAL, _ANSWER, _GARBLED)
# The tokens that another one follows, each once and in order: those with an identity direction.
_SPOKEN = tuple(dict.fromkeys(token for reply in _REPLIES for token in reply[:-1]))
_FIRST_FILLER = _FIRST_IDENTITY + len(_SPOKEN)


class _Written(NamedTuple):
    """What each token writes along the two directions that block 0 reads: (tokens,) each."""

    components: Array
    topics: Array


def _study_prompts() -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    contrast = study_contrast_set()
    return contrast.positive, contrast.negative, tuple(p.text for p in study_evaluation_set().prompts)


def _vocabulary() -> tuple[str, ...]:
    texts = [text for prompts in _study_prompts() for text in prompts] + [REFUSAL_REPLY, ANSWER_REPLY]
    spoken = {word for text in texts for word in words(text)}
    return (*SPECIAL, *sorted(spoken | set(_GARBLED)))


def _readings(prompts: Sequence[str], tokens: Sequence[str]) -> Array:
    """The matrix that takes what tokens write to what the last position then holds: (prompts, tokens)."""
    place = {token: index for index, token in enumerate(tokens)}
    readings = np.zeros((len(prompts), len(tokens)))
    for row, prompt in zip(readings, prompts, strict=True):
        sequence = [place[token] for token in prompt_tokens(prompt)]
        row[sequence[-1]] = 1.0
        np.add.at(row, sequence, _GAIN_AFTER_NORM / len(sequence))
    return readings


def _least_change(values: Array, readings: Array, targets: Array) -> Array:
    """The values nearest to the given ones for which readings @ values = targets."""
    changed: Array = values + np.linalg.pinv(readings) @ (targets - readings @ values)
    return changed


def _written(tokens: Sequence[str]) -> _Written:
    """Chooses what each token writes, so that the study's prompts have the x that the ranges ask for."""
    rng = np.random.default_rng([SEED, 0])
    harmful, harmless, evaluation = _study_prompts()
    readings = _readings(harmful + harmless + evaluation, tokens)
    in_prompts = readings.any(axis=0)  # words of the replies alone and the unknown word write 0

    components = rng.normal(0, 0.4, len(tokens)) * in_prompts
    components[[token.strip(SPACE) in HARMFUL_WORDS or token == PAD for token in tokens]] = HARMFUL_COMPONENT
    targets = [
        rng.permutation(np.linspace(*ends, len(prompts)))
        for ends, prompts in (
            (HARMFUL_RANGE, harmful),
            (HARMLESS_RANGE, harmless),
            (EVALUATION_RANGE, evaluation),
        )
    ]
    components = _least_change(components, readings, np.concatenate(targets))

    topics = rng.normal(0, 1.5, len(tokens)) * in_prompts
    classes = _readings(harmful, tokens).mean(axis=0) - _readings(harmless, tokens).mean(axis=0)
    return _Written(components, _least_change(topics, classes[None], np.zeros(1)))


def _axes() -> Array:
    """A random orthogonal matrix, whose rows are the phantom's axes: (width, width)."""
    rng = np.random.default_rng([SEED, 1])
    return np.linalg.qr(rng.normal(size=(WIDTH, WIDTH))).Q


def _embeddings(tokens: Sequence[str], written: _Written) -> Array:
    """Embeddings in terms of the axes, all of norm √width: (tokens, width)."""
    rng = np.random.default_rng([SEED, 2])
    embeddings = np.zeros((len(tokens), WIDTH))
    embeddings[:, _DIRECTION] = written.components
    embeddings[:, _BIAS] = BIAS
    embeddings[:, _TOPIC] = written.topics
    for identity, token in enumerate(_SPOKEN, _FIRST_IDENTITY):
        embeddings[tokens.index(token), identity] = IDENTITY
    filler = rng.normal(size=(len(tokens), WIDTH - _FIRST_FILLER))
    filler /= np.linalg.norm(filler, axis=1, keepdims=True)
    remaining = WIDTH - np.sum(embeddings**2, axis=1, keepdims=True)
    # A token that writes more than its norm allows is a fault of the numbers above: no NaN is saved.
    with np.errstate(invalid="raise"):
        embeddings[:, _FIRST_FILLER:] = filler * np.sqrt(remaining)
    return embeddings


def _head(tokens: Sequence[str]) -> Array:
    """The output head in terms of the axes: (tokens, width)."""
    head = np.zeros((len(tokens), WIDTH))
    refusing, answering, garbling = (tokens.index(reply[0]) for reply in _REPLIES)
    head[:, _BIAS] = -SILENCE / BIAS
    head[refusing, [_DIRECTION, _BIAS]] = 1.0, 0.0
    head[answering, _BIAS] = THRESHOLD / BIAS
    head[garbling, _DIRECTION] = GARBLING_SLOPE
    head[garbling, _BIAS] = -(GARBLING_SLOPE - 1) * GARBLING_THRESHOLD / BIAS
    for reply in _REPLIES:
        for token, successor in itertools.pairwise(reply):
            identity = _FIRST_IDENTITY + _SPOKEN.index(token)
            head[tokens.index(successor), identity] = (SILENCE + GARBLING_SLOPE * COMPONENT_LIMIT) / IDENTITY
    return head


def _weights(tokens: Sequence[str], written: _Written, axes: Array) -> dict[str, Array]:
    """The checkpoint, by the names that `transformers` gives to a Llama's weights."""
    key_value_width = KEY_VALUE_HEADS * HEAD_WIDTH
    silent = {
        "self_attn.q_proj": np.zeros((WIDTH, WIDTH)),
        "self_attn.k_proj": np.zeros((key_value_width, WIDTH)),
        "self_attn.v_proj": np.zeros((key_value_width, WIDTH)),
        "self_attn.o_proj": np.zeros((WIDTH, WIDTH)),
        "mlp.gate_proj": np.zeros((WIDTH, WIDTH)),
        "mlp.up_proj": np.zeros((WIDTH, WIDTH)),
        "mlp.down_proj": np.zeros((WIDTH, WIDTH)),
        "input_layernorm": np.ones(WIDTH),
        "post_attention_layernorm": np.ones(WIDTH),
    }
    # Every value head reads û and ŝ into its first two coordinates; every query head carries its share back.
    read = np.zeros((HEAD_WIDTH, WIDTH))
    read[:2] = axes[[_DIRECTION, _TOPIC]]
    averaging = {
        "self_attn.v_proj": np.tile(read, (KEY_VALUE_HEADS, 1)),
        "self_attn.o_proj": np.tile(GAIN / HEADS * read.T, (1, HEADS)),
    }
    weights = {
        "model.embed_tokens.weight": _embeddings(tokens, written) @ axes,
        "model.norm.weight": np.ones(WIDTH),
        "lm_head.weight": _head(tokens) @ axes,
    }
    for block in range(BLOCKS):
        parts = silent | averaging if block == 0 else silent
        weights |= {f"model.layers.{block}.{name}.weight": part for name, part in parts.items()}
    return weights
