"""Prompt sets as rows, in CSV or JSON Lines: a pair of prompts a row, or an evaluation prompt a row."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple


class RowError(Exception):
    """What is wrong with a file of rows, with its line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")


class _Row(NamedTuple):
    line: int
    fields: dict[str, str]


def contrast_fields(text: str, suffix: str) -> dict[str, Any]:
    """The `positive` and `negative` prompts of a text with those two columns.

    The prompts of a row are a pair. One class may be longer than the other: then its last rows leave the other
    column empty. A gap before that would move the pairs, and is refused.

    Raises:
        RowError: a column is unknown or missing, a row is blank, a gap stands in a column, or a prompt is repeated.
    """
    classes: dict[str, list[str]] = {"positive": [], "negative": []}
    ended: dict[str, int] = {}
    first_lines: dict[str, int] = {}
    for line, fields in _rows(text, suffix, required=("positive", "negative"), optional=()):
        prompts = {name: fields.get(name, "") for name in classes}
        if not any(prompt.strip() for prompt in prompts.values()):
            raise RowError(line, "neither a positive nor a negative prompt stands here")
        for name, prompt in prompts.items():
            if not prompt.strip():
                ended.setdefault(name, line)
            elif name in ended:
                raise RowError(
                    line,
                    f"a {name} prompt after line {ended[name]}, which has none: the prompts of a line are a pair, "
                    "so only the last lines may leave a column empty",
                )
            else:
                _refuse_repeat(prompt, line, first_lines)
                classes[name].append(prompt)
    for name, texts in classes.items():
        if not texts:
            raise RowError(1, f"the file has no {name} prompt; it needs both classes")
    return classes


def evaluation_fields(text: str, suffix: str) -> dict[str, Any]:
    """The `prompts` of a text with a column `prompt` and, if there is one, `category`.

    Raises:
        RowError: a column is unknown or missing, or a prompt is blank or repeated.
    """
    prompts: list[dict[str, str]] = []
    first_lines: dict[str, int] = {}
    for line, fields in _rows(text, suffix, required=("prompt",), optional=("category",)):
        prompt = fields.get("prompt", "")
        if not prompt.strip():
            raise RowError(line, "a prompt must not be blank")
        _refuse_repeat(prompt, line, first_lines)
        prompts.append({"text": prompt, "category": fields.get("category", "")})
    if not prompts:
        raise RowError(1, "the file has no prompt")
    return {"prompts": prompts}


def _refuse_repeat(prompt: str, line: int, first_lines: dict[str, int]) -> None:
    if prompt in first_lines:
        raise RowError(
            line,
            f"the prompt {prompt!r} stands at line {first_lines[prompt]} already; a repeat under greedy decoding "
            "is one observation, not two: keep each prompt once",
        )
    first_lines[prompt] = line


def _rows(text: str, suffix: str, required: Sequence[str], optional: Sequence[str]) -> Iterator[_Row]:
    return FORMATS[suffix](text.removeprefix("\ufeff"), required, optional)


def _csv_rows(text: str, required: Sequence[str], optional: Sequence[str]) -> Iterator[_Row]:
    """Rows below a header; a quoted prompt may hold commas and line breaks, and begin with a space."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            if header is None and cells:
                header = [cell.strip() for cell in cells]
                _require_columns(line, header, required, optional)
            elif header is not None and cells:
                if len(cells) != len(header):
                    raise RowError(
                        line,
                        f"{len(cells)} cells where the header has {len(header)}; put a prompt with a comma in quotes",
                    )
                yield _Row(line, dict(zip(header, cells, strict=True)))
            line = reader.line_num + 1  # where the next row begins
    except csv.Error as error:
        raise RowError(line, f"not valid CSV: {error}") from None
    if header is None:
        raise RowError(
            1, f"the file is empty; its first line names the columns {_listed(required, optional)}"
        )


def _require_columns(line: int, header: list[str], required: Sequence[str], optional: Sequence[str]) -> None:
    known = (*required, *optional)
    unknown = [name for name in header if name not in known]
    missing = [name for name in required if name not in header]
    if unknown or missing or len(set(header)) < len(header):
        raise RowError(
            line, f"the columns are {', '.join(header)}; they must be {_listed(required, optional)}"
        )


def _listed(required: Sequence[str], optional: Sequence[str]) -> str:
    return " and ".join(required) + "".join(f", and if wanted {name}" for name in optional)


def _json_rows(text: str, required: Sequence[str], optional: Sequence[str]) -> Iterator[_Row]:
    """One JSON object a line. Lines end at line feeds alone: a prompt may hold other separators."""
    for line, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        try:
            fields = json.loads(row)
        except json.JSONDecodeError as error:
            raise RowError(line, f"not valid JSON: {error.msg} at column {error.colno}") from None
        if not isinstance(fields, dict):
            raise RowError(line, f"not a JSON object with {_listed(required, optional)}")
        for name, value in fields.items():
            if name not in (*required, *optional):
                raise RowError(line, f"unknown key {name!r}; the keys are {_listed(required, optional)}")
            if not isinstance(value, str) or not _is_text(value):
                raise RowError(line, f"{name} must be text, not {json.dumps(value)[:40]}")
        yield _Row(line, fields)


def _is_text(value: str) -> bool:
    """Whether UTF-8 can hold it: JSON can escape half a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


FORMATS: dict[str, Callable[[str, Sequence[str], Sequence[str]], Iterator[_Row]]] = {
    ".csv": _csv_rows,
    ".jsonl": _json_rows,
}
"""The formats of rows, by the file's suffix."""
