"""A reproduction as a page, a folder and in a terminal; texts in it may be hostile."""

import io
import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from made_studies import study_result
from steergauge.errors import SteergaugeError
from steergauge.report.reproduction_page import reproduction_page, write_reproduction
from steergauge.report.reproduction_terminal import render_reproduction
from steergauge.report.study_files import write_study
from steergauge.studies.claims import answer, claims
from steergauge.studies.experiments.table import EXPERIMENTS
from steergauge.studies.reproduction import Reproduction, answered, collect
from steergauge.studies.study_result import Outcome

from .example import HOSTILE


@pytest.fixture(scope="module")
def result() -> Reproduction:
    concluded = (
        answer("transfer-family", Outcome.SUPPORTED, f"equal: {HOSTILE}"),
        answer("transfer-cross", Outcome.NOT_SUPPORTED, "both steer"),
    )
    return answered(
        {
            "quantization": study_result("quantization", text=HOSTILE),
            "transfer": study_result("transfer", *concluded, text=HOSTILE),
        },
        {"scale": f"no size: {HOSTILE}"},
    )


def test_nothing_hostile_stands_on_the_page_and_nothing_is_fetched(result: Reproduction) -> None:
    html = reproduction_page(result)
    body = html.split("<body>")[1]
    assert HOSTILE not in html
    assert "<script" not in body
    assert not re.search(r"\son\w+=", re.sub(r'"[^"]*"', '""', re.sub(r">[^<]*<", "><", body)))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', html)
    assert policy
    assert unescape(policy[1]).startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in policy[1]


def test_every_claim_stands_there_with_its_rule_its_published_and_its_measured_numbers(
    result: Reproduction,
) -> None:
    html = reproduction_page(result)
    rows = re.findall(r"<tr><th scope=\"row\">§.*?</tr>", html, flags=re.DOTALL)
    assert len(rows) == len(claims())
    row = next(row for row in rows if claims()["transfer-cross"].claim in row)
    assert "both steer" in row
    assert "<strong>not replicated</strong>" in row
    assert "Qwen 7B→Gemma 9B TE 0.17" in row
    heading = re.search(r"<h1>(.*?)</h1>", html, flags=re.DOTALL)
    assert heading
    assert re.sub(r"<.*?>", "", heading[1]) == (
        "Of 21 claims, 1 replicated, 1 not replicated, 19 untestable here."
    )


def test_what_the_paper_published_stands_beside_each_study(result: Reproduction) -> None:
    html = reproduction_page(result)
    sections = {name: html.split(f'id="study-{name}"')[1].split("</section>")[0] for name in result.studies}
    assert "What the paper published" in sections["quantization"]
    assert "57% [39–73]" in sections["quantization"]
    assert "1.25 [1.071–1.579]" in sections["transfer"]
    assert 'href="transfer/report.html"' in sections["transfer"]


def test_its_folder_has_the_claims_and_a_folder_a_study(result: Reproduction, tmp_path: Path) -> None:
    page = write_reproduction(result, tmp_path / "out")
    assert page == tmp_path / "out" / "index.html"
    assert page.read_text(encoding="utf-8") == reproduction_page(result)
    table = pd.read_csv(tmp_path / "out" / "claims.csv")
    assert list(table.id) == list(claims())
    for study in result.studies:
        assert (tmp_path / "out" / study / "report.html").is_file()
        assert (tmp_path / "out" / study / "tables" / "one.csv").is_file()


def test_answers_collected_from_the_folders_of_studies_are_those_of_one_run(
    result: Reproduction, tmp_path: Path
) -> None:
    for name, study in result.studies.items():
        write_study(study, tmp_path / name)
    found = collect(tmp_path)
    ours, theirs = ({one.claim.id: one.replication for one in each.answers} for each in (found, result))
    assert ours == theirs
    assert found.studies == result.studies
    assert set(found.not_run) == set(EXPERIMENTS) - set(result.studies)


def test_a_folder_of_another_study_or_of_none_is_refused(result: Reproduction, tmp_path: Path) -> None:
    with pytest.raises(SteergaugeError, match="no result of a study"):
        collect(tmp_path)
    write_study(result.studies["transfer"], tmp_path / "depth")
    with pytest.raises(SteergaugeError, match="is a result of the study transfer"):
        collect(tmp_path)
    (tmp_path / "depth" / "result.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SteergaugeError, match=r"result\.json is no result of a study"):
        collect(tmp_path)


def test_studies_of_several_judges_are_not_collected(result: Reproduction, tmp_path: Path) -> None:
    for name, judge in (("transfer", "study"), ("quantization", "gauge")):
        study = study_result(name).model_copy(update={"settings": {"judge": judge}})
        write_study(study, tmp_path / name)
    # It reads no outputs, so its own default says nothing.
    write_study(
        study_result("stability").model_copy(update={"settings": {"judge": "other"}}), tmp_path / "stability"
    )
    with pytest.raises(SteergaugeError, match=r"quantization by gauge, transfer by study\)"):
        collect(tmp_path)


def test_a_terminal_is_told_every_claim_and_what_did_not_run(result: Reproduction) -> None:
    told = io.StringIO()
    render_reproduction(result, Console(file=told, width=200))
    text = told.getvalue()
    assert text.count("published:") == text.count(" measured:  ") == len(claims())
    assert "study scale did not run" in text
    assert "21 claims: 1 replicated, 1 not replicated, 19 untestable here" in text
    assert "\x1b" not in text
