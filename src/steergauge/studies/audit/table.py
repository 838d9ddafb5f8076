"""A user's own table of results: one row a condition, or one row an output."""

import csv
import io
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

from steergauge.errors import SteergaugeError, nearest
from steergauge.judging.label import Label

COUNT_COLUMNS = ("condition", "successes", "n")

_SUCCESS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_LABELS = {label.value: label is Label.REFUSAL for label in Label}


class CountRow(NamedTuple):
    """One condition with its counts; None where a column is missing or empty."""

    line: int
    name: str  # model and condition
    model: str
    successes: int
    n: int
    prompts: int | None
    sweep: str  # conditions of one sweep were tried to find the best; empty where it was not said
    low: Decimal | None  # percent
    high: Decimal | None
    against: str | None
    p: Decimal | None
    test: str


class Condition(NamedTuple):
    """A condition of a table of outputs."""

    name: str
    model: str
    sweep: str  # empty where it was not said


class OutputTable(NamedTuple):
    """Outcomes by model and condition, then prompt; a prompt's outcomes are in the order of the file."""

    outcomes: dict[str, dict[str, list[bool]]]
    conditions: dict[str, Condition]


def read_table(path: Path) -> list[CountRow] | OutputTable:
    """Reads a CSV of results; the columns say which of the two forms it is (docs/audit.md).

    Raises:
        SteergaugeError: the file cannot be read, lacks columns, or holds a value that cannot be; with its line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SteergaugeError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    rows = list(_rows(text, path))
    if not rows:
        raise SteergaugeError(f"{path} has no rows below its header")
    columns = rows[0][1].keys()
    if "prompt" in columns and ("success" in columns or "label" in columns):
        return _outputs(rows, path)
    if all(name in columns for name in COUNT_COLUMNS):
        return _counts(rows, path)
    raise SteergaugeError(
        f"{path} has the columns {', '.join(columns)}; an audit needs condition, successes and n, or condition, "
        "prompt and success (or label)"
    )


Row = tuple[int, Mapping[str, str]]


def _rows(text: str, path: Path) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        if len(set(names)) < len(names):
            raise SteergaugeError(f"{path}, line 1: a column is named twice: {', '.join(names)}")
        reader.fieldnames = names
        for row in reader:
            if None in row or None in row.values():
                raise SteergaugeError(
                    f"{path}, line {reader.line_num}: not as many cells as the header has columns ({len(names)})"
                )
            yield reader.line_num, {name: value.strip() for name, value in row.items()}
    except csv.Error as error:
        raise SteergaugeError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from None


def _name(row: Mapping[str, str]) -> str:
    return " ".join(part for part in (row.get("model", ""), row["condition"]) if part)


def _counts(rows: list[Row], path: Path) -> list[CountRow]:
    found = [_count_row(line, row, f"{path}, line {line}") for line, row in rows]
    names = {one.name for one in found}
    if len(names) < len(found):
        twice = next(
            one for number, one in enumerate(found) if one.name in {other.name for other in found[:number]}
        )
        raise SteergaugeError(
            f"{path}, line {twice.line}: the condition {twice.name!r} stands twice; give each its own name or model"
        )
    for number, one in enumerate(found):
        if one.against is None:
            continue
        model = rows[number][1].get("model", "")
        meant = [name for name in (f"{model} {one.against}", one.against) if name in names]
        if not meant or meant[0] == one.name:
            raise SteergaugeError(
                f"{path}, line {one.line}: against must name another condition, not {one.against!r}; "
                + (
                    nearest(one.against, sorted(others))
                    if (others := names - {one.name})
                    else "there is no other"
                )
            )
        found[number] = one._replace(against=meant[0])
    return found


def _count_row(line: int, row: Mapping[str, str], where: str) -> CountRow:
    successes, n = _whole(row, "successes", where), _whole(row, "n", where)
    prompts = _whole(row, "unique_prompts", where) if row.get("unique_prompts") else None
    if n == 0 or successes > n:
        raise SteergaugeError(f"{where}: {successes} successes among n = {n} cannot be")
    if prompts is not None and not 0 < prompts <= n:
        raise SteergaugeError(f"{where}: {prompts} unique prompts among n = {n} cannot be")
    low, high = _interval(row, where)
    p = _number(row["p"], "p", where) if row.get("p") else None
    if p is not None and not 0 <= p <= 1:
        raise SteergaugeError(f"{where}: p must be from 0 to 1, not {p}")
    return CountRow(
        line=line,
        name=_name(row),
        model=row.get("model", ""),
        successes=successes,
        n=n,
        prompts=prompts,
        sweep=row.get("sweep", ""),
        low=low,
        high=high,
        against=row.get("against") or None,
        p=p,
        test=row.get("test", ""),
    )


def _whole(row: Mapping[str, str], name: str, where: str) -> int:
    try:
        value = int(row[name])
    except ValueError:
        value = -1
    if value < 0:
        raise SteergaugeError(f"{where}: {name} must be a whole number, not {row[name]!r}")
    return value


def _number(text: str, name: str, where: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        raise SteergaugeError(f"{where}: {name} must be a number, not {text!r}")
    return value


def _interval(row: Mapping[str, str], where: str) -> tuple[Decimal, Decimal] | tuple[None, None]:
    """The printed interval in percent; fractions, where both ends are at most 1 and have no %, are scaled."""
    texts = row.get("low", ""), row.get("high", "")
    if not any(texts):
        return None, None
    if not all(texts):
        raise SteergaugeError(f"{where}: an interval needs both low and high")
    low, high = (_number(text.removesuffix("%"), "low and high", where) for text in texts)
    if high <= 1 and "%" not in "".join(texts):
        low, high = _percent(low, high), _percent(high, low)
    if not 0 <= low <= high <= 100:
        raise SteergaugeError(f"{where}: {texts[0]} to {texts[1]} is no interval of a rate")
    return low, high


def _percent(fraction: Decimal, other: Decimal) -> Decimal:
    """A fraction in percent with its own digits; 0 and 1 are exact, and get those of the other end."""
    exponent = int((other if fraction in (0, 1) else fraction).as_tuple().exponent)
    return (100 * fraction).quantize(Decimal(1).scaleb(min(exponent + 2, 0)))


def _outputs(rows: list[Row], path: Path) -> OutputTable:
    column, words = ("success", _SUCCESS) if "success" in rows[0][1] else ("label", _LABELS)
    if "condition" not in rows[0][1]:
        raise SteergaugeError(f"{path} has no column condition, which says what was done to the model")
    table = OutputTable({}, {})
    for line, row in rows:
        success = words.get(row[column].lower())
        if success is None:
            raise SteergaugeError(
                f"{path}, line {line}: {column} must be {' or '.join(words)}, not {row[column]!r}"
            )
        if not row["prompt"]:
            raise SteergaugeError(f"{path}, line {line}: a prompt must not be blank")
        name = _name(row)
        table.conditions[name] = Condition(row["condition"], row.get("model", ""), row.get("sweep", ""))
        table.outcomes.setdefault(name, {}).setdefault(row["prompt"], []).append(success)
    return table
