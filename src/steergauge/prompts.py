"""Prompt sets: what a direction is extracted from and what it is measured on."""

import tomllib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from steergauge.errors import SteergaugeError
from steergauge.prompt_files import FORMATS, RowError, contrast_fields, evaluation_fields


def _refuse_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("a prompt must not be blank")
    return text


Prompt = Annotated[str, AfterValidator(_refuse_blank)]


class _PromptSet(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Short name, kept with every result.")
    source: str = Field(default="", description="Where the prompts come from.")


SetKind = TypeVar("SetKind", bound=_PromptSet)


class ContrastSet(_PromptSet):
    """Positive (for refusal: harmful) and negative (harmless) prompts, whose difference is a direction."""

    positive: tuple[Prompt, ...] = Field(min_length=1)
    negative: tuple[Prompt, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _refuse_repeats(self.positive + self.negative)
        return self


class EvaluationPrompt(BaseModel):
    """A benign prompt, with the category it belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Prompt
    category: str = ""


class EvaluationSet(_PromptSet):
    """Distinct benign prompts, which an unsteered model answers."""

    prompts: tuple[EvaluationPrompt, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _refuse_repeats(tuple(prompt.text for prompt in self.prompts))
        return self


def _refuse_repeats(texts: tuple[str, ...]) -> None:
    """Refuses a repeated prompt: under greedy decoding it is the same observation twice (methods.md §7)."""
    text, times = Counter(texts).most_common(1)[0]
    if times > 1:
        raise ValueError(
            f"the prompt {text!r} stands {times} times; a repeat under greedy decoding is one observation, "
            "not two: keep each prompt once"
        )


def load_contrast_set(path: Path) -> ContrastSet:
    """Reads a contrast set: TOML with `name`, `positive` and `negative`, or rows of a pair each.

    A name that ends with .csv or .jsonl is a file of rows, with the columns or keys `positive` and `negative`; the set
    then has the name of the file.

    Raises:
        SteergaugeError: no such file, not its format in UTF-8, a key or column that is unknown or missing, or a
            prompt that is blank or repeated.
    """
    return _load(path, ContrastSet, contrast_fields)


def load_evaluation_set(path: Path) -> EvaluationSet:
    """Reads an evaluation set: TOML with `name` and `[[prompts]]` of `text` and `category`, or rows of a prompt each.

    A name that ends with .csv or .jsonl is a file of rows, with the column or key `prompt` and, if wanted, `category`;
    the set then has the name of the file.

    Raises:
        SteergaugeError: no such file, not its format in UTF-8, a key or column that is unknown or missing, or a
            prompt that is blank or repeated.
    """
    return _load(path, EvaluationSet, evaluation_fields)


@cache
def study_contrast_set() -> ContrastSet:
    """The study's five harmful and five harmless prompts (paper, appendix A)."""
    return load_contrast_set(_built_in("study_contrast.toml"))


@cache
def matched_contrast_set() -> ContrastSet:
    """Twenty pairs beside the study's five, of other kinds of harm: what a direction owes to its prompts is seen with two sets."""
    return load_contrast_set(_built_in("matched_contrast.toml"))


@cache
def study_evaluation_set() -> EvaluationSet:
    """The study's thirty benign prompts (paper, appendix A)."""
    return load_evaluation_set(_built_in("study_evaluation.toml"))


def _built_in(name: str) -> Path:
    return Path(str(files("steergauge") / "data" / "prompts" / name))


def _load(path: Path, kind: type[SetKind], fields_of_rows: Callable[[str, str], dict[str, Any]]) -> SetKind:
    text, suffix = "", path.suffix.lower()
    try:
        text = path.read_text(encoding="utf-8")
        if suffix in FORMATS:
            return kind.model_validate(
                {"name": path.stem, "source": path.name, **fields_of_rows(text, suffix)}
            )
        return kind.model_validate(tomllib.loads(text))
    except OSError as error:
        raise SteergaugeError(f"cannot read the prompt file {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = 1 + error.object.count(b"\n", 0, error.start)
        raise SteergaugeError(f"{path} is not UTF-8 text, first at line {line}: save it as UTF-8") from None
    except RowError as error:
        raise SteergaugeError(f"{path}, {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SteergaugeError(f"{path} is not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        stands = _line_of(first["loc"], text)
        message = first["msg"].removeprefix("Value error, ")
        raise SteergaugeError(f"{path}, {where}: {message}{f' (line {stands})' if stands else ''}") from None


def _line_of(place: Sequence[str | int], text: str) -> int | None:
    """The line of a TOML text on which a key or an element stands; if it is missing, what should hold it.

    TOML readers tell no lines, so it is the first line up to which the text, read alone, holds it.
    """
    lines = text.splitlines()

    def read(end: int) -> object:
        for closing in ("", "]"):  # a list may go on
            try:
                return tomllib.loads("\n".join(lines[:end]) + closing)
            except tomllib.TOMLDecodeError:
                pass
        return None

    def readable(end: int) -> int:
        return next(shorter for shorter in range(end, -1, -1) if read(shorter) is not None)

    depth = _depth_held(place, read(len(lines)))
    if depth == 0:
        return None
    ends = range(1, len(lines) + 1)
    last = ends[bisect_left(ends, depth, key=lambda end: _depth_held(place[:depth], read(readable(end))))]
    return readable(last - 1) + 1  # where it begins, if it is a text of several lines


def _depth_held(place: Sequence[str | int], value: Any) -> int:
    """How many steps of a path of keys and indices can be gone from a value."""
    for depth, step in enumerate(place):
        try:
            value = value[step]
        except (LookupError, TypeError):
            return depth
    return len(place)
