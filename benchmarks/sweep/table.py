"""The table in Markdown, and everything in JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.sweep.grid import NEW_TOKENS, Grid
from benchmarks.sweep.rounds import Entry, Measured, Shape
from benchmarks.sweep.summary import Line, Share, Spread

_HEAD = (
    "way", "precision", "rows", "decoding, tokens/s", "sweep, tokens/s¹", "full grid, hours¹", "× the study's",
    "× the study's in float32", "cost of steering", "of the matrix products", "same tokens²", "same labels²",
)  # fmt: skip


def write_table(
    lines: Sequence[Line],
    missing: Mapping[Entry, str],
    measured: Measured,
    grid: Grid,
    *,
    shape: Shape,
    told: str,
) -> str:
    """Markdown: a line a way and precision, those that did not run among them.

    Args:
        lines: what was measured.
        missing: why others were not.
        measured: where they come from.
        grid: what was swept.
        shape: of a turn.
        told: when, on what and with what it was measured.
    """
    peaks = [f"{key.rpartition(' ')[0]} {peak / 2**30:.1f} GiB" for key, peak in measured.peaks.items()]
    short, long = shape.lengths
    return "\n".join(
        [
            told,
            "",
            _cells(_HEAD),
            _cells(["---"] * len(_HEAD)),
            *(_cells(_line_cells(line)) for line in lines),
            *(
                _cells([entry.way.name, entry.precision, why, *[""] * (len(_HEAD) - 3)])
                for entry, why in missing.items()
            ),
            "",
            f"Medians over rounds, the least and the most in brackets. ¹ Extrapolated: from outputs of {short} and {long} tokens "
            f"to {NEW_TOKENS}, and from a turn's rows to the grid's {grid.outputs:,} outputs. ² As the torch engine's in float32. "
            f"Peak memory of the processes: {', '.join(peaks)}.",
        ]
    )


def _line_cells(line: Line) -> list[str]:
    return [
        line.entry.way.name,
        line.entry.precision,
        str(line.rows),
        _number(line.decoding),
        _number(line.sweeping),
        "" if line.hours is None else f"{line.hours:.2f}",
        _number(line.ratio),
        _number(line.ratio_to_reference),
        _percent(line.cost, signed=True),
        _percent(line.of_products),
        _share(line.tokens),
        _share(line.labels),
    ]


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(spread: Spread | None) -> str:
    return "" if spread is None else "{:.3g} [{:.3g}, {:.3g}]".format(*spread)


def _percent(spread: Spread | None, *, signed: bool = False) -> str:
    if spread is None:
        return ""
    form = "{:+.1%} [{:+.1%}, {:+.1%}]" if signed else "{:.0%} [{:.0%}, {:.0%}]"
    return form.format(*spread)


def _share(share: Share | None) -> str:
    return "" if share is None else f"{share.same} of {share.of}"


def as_json(
    lines: Sequence[Line],
    missing: Mapping[Entry, str],
    measured: Measured,
    shape: Shape,
    told: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that was measured, each turn's seconds among it; the outputs are left out."""
    spreads = ("decoding", "sweeping", "ratio", "ratio_to_reference", "cost", "of_products")
    shares = ("tokens", "labels")

    def named(value: Spread | Share | None) -> dict[str, float] | None:
        return None if value is None else value._asdict()

    return {
        **told,
        "lengths": shape.lengths,
        "ways": [
            {
                "way": line.entry.way.name,
                "what": line.entry.way.what,
                "precision": line.entry.precision,
                "rows": line.rows,
                "hours": line.hours,
                **{name: named(getattr(line, name)) for name in (*spreads, *shares)},
            }
            for line in lines
        ],
        "not_measured": [
            {"way": entry.way.name, "precision": entry.precision, "why": why}
            for entry, why in missing.items()
        ],
        "turns": [
            {
                "way": turn.entry.way.name,
                "precision": turn.entry.precision,
                "round": turn.round,
                "rows": len(turn.rows),
                "seconds": turn.seconds,
            }
            for turn in measured.turns
        ],
        "processes": {
            key: {"peak_bytes": peak, **measured.told[key]} for key, peak in measured.peaks.items()
        },
    }
