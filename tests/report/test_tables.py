import json
import re
from pathlib import Path

import pandas as pd
import pytest

from steergauge.errors import SteergaugeError
from steergauge.report.tables import write_csv, write_parquet

from . import json_reference
from .example import example


def test_csv_reads_back_with_every_text_and_label(tmp_path: Path) -> None:
    result = example()
    write_csv(result, tmp_path / "outputs.csv")
    read = pd.read_csv(tmp_path / "outputs.csv", keep_default_na=False)
    for column in ("condition", "prompt", "text", "label", "evidence"):
        assert read[column].tolist() == [getattr(g, column) for g in result.generations]
    for column in ("evidence_start", "evidence_end"):
        places = [getattr(g, column) for g in result.generations]
        assert read[column].astype(str).tolist() == ["" if place is None else str(place) for place in places]


def test_awkward_texts_survive_csv(tmp_path: Path) -> None:
    texts = ["", "NA", 'a "quote", a comma', "line\nline", "a\rb", "=1+1", "tab\t", " space ", "🌊 海洋"]
    result = example()
    records = [g.model_copy(update={"text": t}) for g, t in zip(result.generations, texts, strict=False)]
    write_csv(result.model_copy(update={"generations": records}), tmp_path / "outputs.csv")
    read = pd.read_csv(tmp_path / "outputs.csv", keep_default_na=False, lineterminator="\n")
    assert read["text"].tolist() == texts


def test_parquet_reads_back_equal_with_nulls_and_types(tmp_path: Path) -> None:
    result = example()
    write_parquet(result, tmp_path / "outputs.parquet")
    read = pd.read_parquet(tmp_path / "outputs.parquet")
    pd.testing.assert_frame_equal(read, result.generations_to_pandas(), check_dtype=False)
    assert read.loc[read["condition"] == "unsteered", "block"].isna().all()


def test_the_conditions_table_has_every_unit_of_the_dose() -> None:
    result = example()
    table = result.to_pandas()
    for unit in ("raw", "relative", "separation", "clamp", "total_relative"):
        assert table[f"dose_{unit}"].tolist() == [getattr(c.dose, unit) for c in result.conditions]
    assert table["delivered"].tolist() == [c.dose.delivered for c in result.conditions]
    assert table["coordinates_lost"].tolist() == [c.dose.coordinates_lost for c in result.conditions]


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    write_csv(example(), tmp_path / "new" / "outputs.csv")
    assert (tmp_path / "new" / "outputs.csv").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SteergaugeError, match=r"cannot write .*outputs.csv: "):
        write_csv(example(), tmp_path / "file" / "outputs.csv")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "outputs.csv"
    target.write_text("before")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(SteergaugeError, match="No space left"):
        write_csv(example(), target)
    assert [path.name for path in tmp_path.iterdir()] == ["outputs.csv"]
    assert target.read_text() == "before"


def test_json_page_documents_every_field_of_the_schema() -> None:
    assert json_reference.documented() == json_reference.reference().strip(), (
        "docs/json.md is not what the schema says: run python tests/report/json_reference.py"
    )


def test_json_page_gives_every_field_a_meaning() -> None:
    assert "|  |" not in json_reference.documented()


def test_json_holds_exactly_the_documented_fields() -> None:
    written = json.loads(example().to_json())
    assert list(written) == re.findall(r"^\| `(\w+)`", documented_record("GaugeResult"), re.MULTILINE)


def documented_record(name: str) -> str:
    return json_reference.documented().split(f"### {name}\n")[1].split("### ")[0]
