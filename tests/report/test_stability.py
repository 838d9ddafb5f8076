import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from steergauge.directions.stability import Design, Stability
from steergauge.report.figures import BOTTOM, TOP
from steergauge.report.html import write_html
from steergauge.report.stability import cautions, charts, cosine, headline, stability_page
from steergauge.report.stability_terminal import render_stability
from steergauge.studies.stability import StabilityResult, judge_method

from .example import HOSTILE, example

BLOCKS = 24


def stability(
    *methods: tuple[str, float], hostile: bool = False, in_pairs: bool = True, degenerate: int = 0
) -> StabilityResult:
    """Methods by a cosine that the draws of their last blocks lie around."""
    generator = np.random.default_rng(0)
    found = []
    for name, centre in methods:
        centres = np.linspace(-0.4, centre, BLOCKS)
        found.append(
            judge_method(
                name,
                [
                    Stability(
                        name,
                        design,
                        in_pairs,
                        200 + degenerate,
                        degenerate,
                        "no axis stands out" if degenerate else None,
                        np.clip(generator.normal(centres, 0.02, (200, BLOCKS)), -1, 1),
                    )
                    for design in Design
                ],
            )
        )
    return StabilityResult(
        steergauge="0.1.0",
        model=example().model,
        contrast_set=HOSTILE if hostile else "study",
        positive=[HOSTILE if hostile else "bad", "b", "c", "d", "e"],
        negative=["f", "g", "h", "i", "j"],
        seed=0,
        without_difference=0.745,
        methods=found,
        versions={"numpy": "2"},
        hardware={"processor": "a"},
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.000"),
        (0.9154, ".915"),
        (0.94999, ".949"),
        (0.95, ".950"),
        (-0.5, "−.500"),
        (-0.0001, ".000"),
        (-1.0, "−1.000"),
    ],
)
def test_a_cosine_below_the_line_never_reads_as_on_it(value: float, text: str) -> None:
    assert cosine(value) == text


def test_methods_of_one_verdict_stand_together() -> None:
    result = stability(("dim", 0.5), ("caa", 0.6))
    assert headline(result) == [("dim and caa are", "fragile")]


def test_every_chart_has_one_scale_a_band_and_the_line_that_decides() -> None:
    result = stability(("dim", 0.99), ("svd", 0.5))
    drawn = charts(result)
    assert [chart.title for chart in drawn] == [
        f"{name}, {design}, in pairs" for name in ("dim", "svd") for design in ("bootstrap", "halves")
    ]
    assert len({(tuple(chart.y_ticks), chart.threshold) for chart in drawn}) == 1
    assert [tick.text for tick in drawn[0].y_ticks] == ["−0.5", "0", "0.5", "1"]
    assert [tick.at for tick in drawn[0].y_ticks] == pytest.approx(
        [BOTTOM - third * (BOTTOM - TOP) / 3 for third in range(4)], abs=0.06
    )
    assert drawn[0].threshold == pytest.approx(BOTTOM - 1.45 / 1.5 * (BOTTOM - TOP), abs=0.06)
    for chart in drawn:
        (line,) = chart.lines
        assert len(line.points) == BLOCKS
        for point in line.points:
            assert point.low is not None
            assert point.high is not None
            assert TOP <= point.high <= point.y <= point.low <= BOTTOM  # y grows downwards


def test_one_block_draws() -> None:
    result = stability(("dim", 0.9))
    method = result.methods[0]
    one = [design.model_copy(update={"blocks": design.blocks[:1]}) for design in method.designs]
    single = result.model_copy(update={"methods": [method.model_copy(update={"designs": one})]})
    assert stability_page(single).count("<svg") == 2


def test_the_same_result_writes_the_same_bytes_and_fetches_and_runs_nothing(tmp_path: Path) -> None:
    result = stability(("dim", 0.99), hostile=True)
    for name in ("one.html", "two.html"):
        write_html(result, tmp_path / name)
    html = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert html == (tmp_path / "two.html").read_text(encoding="utf-8")
    assert HOSTILE not in html
    assert "<script" not in html
    assert not re.search(r"""(src|href)=["']|@import|url\(""", html)
    assert "default-src &#39;none&#39;" in html
    assert "script-src" not in html


def test_cautions_say_what_the_cosines_cannot() -> None:
    said = " ".join(cautions(stability(("dim", 0.5), degenerate=3)))
    assert "bootstrap cosine of about .745" in said
    assert "5 pairs can be halved in 10 ways only" in said
    assert "dim, halves: 3 of 203 draws gave no direction" in said
    assert "halved in" not in " ".join(cautions(stability(("dim", 0.5), in_pairs=False)))


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_shows_every_block_in_its_width(width: int) -> None:
    result = stability(("dim", 0.99), ("svd", 0.5))
    console = Console(file=io.StringIO(), width=width, color_system=None)
    render_stability(result, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if re.match(r" +\d+ ", line)]
    assert len(rows) == 2 * BLOCKS
    assert rows[BLOCKS - 1].count("*") == 2  # dim's last block is robust in both designs
    assert rows[-1].count("*") == 0
    for at in result.methods[0].designs[0].blocks:
        assert f"{cosine(at.median)} [{cosine(at.low)} to {cosine(at.high)}]" in rows[at.block]
