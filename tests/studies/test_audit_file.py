"""A user's own table: what is found in it, and what is said of a bad one."""

from pathlib import Path

import pytest

from steergauge.errors import SteergaugeError
from steergauge.studies.audit.file import audit_file
from steergauge.studies.audit.finding import Audit, Outcome, Stands
from steergauge.studies.audit.table import CountRow, read_table


@pytest.fixture
def audited(tmp_path: Path) -> "Auditor":
    return Auditor(tmp_path)


class Auditor:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "table.csv"

    def __call__(self, text: str) -> Audit:
        self.path.write_text(text, encoding="utf-8")
        return audit_file(self.path)


def outputs(**conditions: list[int]) -> str:
    lines = ["condition,prompt,success"]
    for condition, rows in conditions.items():
        lines += [f"{condition},p{number},{row}" for number, row in enumerate(rows)]
    return "\n".join(lines)


def test_repeats_are_found_and_the_interval_of_the_prompts_is_given(audited: Auditor) -> None:
    found = audited("condition,successes,n,unique_prompts,low,high\nsteered,30,50,10,46.2,72.4\n")
    rate = found.finding("rate/steered")
    assert rate.agrees is True  # the arithmetic is right
    assert (rate.outcome, rate.n, rate.prompts) == (Outcome.DOES_NOT_STAND, 50, 10)
    assert "[31.3, 83.2]" in rate.due  # Wilson over 6 of 10
    assert "count distinct prompts" in rate.meaning


def test_distinct_prompts_are_nothing_to_object_to(audited: Auditor) -> None:
    found = audited("condition,successes,n,unique_prompts,low,high\nsteered,23,30,30,59.1%,88.2%\n")
    assert found.finding("rate/steered").outcome is Outcome.HOLDS


def test_without_unique_prompts_the_table_is_asked_for_them(audited: Auditor) -> None:
    found = audited("condition,successes,n\nsteered,23,30\n").finding("rate/steered")
    assert found.outcome is Outcome.NO_DATA
    assert "unique_prompts" in found.meaning


@pytest.mark.parametrize(
    ("low", "high", "equal"),
    [("0.591", "0.882", True), ("59.1", "88.2", True), ("59.1%", "88.2%", True), ("0.60", "0.90", False)],
)
def test_intervals_may_be_fractions_or_percentages(
    low: str, high: str, equal: bool, audited: Auditor
) -> None:
    found = audited(f"condition,successes,n,unique_prompts,low,high\na,23,30,30,{low},{high}\n")
    assert found.finding("rate/a").agrees is equal


def test_an_end_of_one_has_the_digits_of_the_other(audited: Auditor) -> None:
    found = audited("condition,successes,n,unique_prompts,low,high\na,30,30,30,0.886,1\n").finding("rate/a")
    assert (found.published, found.agrees) == ("[88.6, 100.0]", True)


COMPARED = """condition,successes,n,unique_prompts,against,p,test
float16,23,30,30,,,
int8,30,30,30,float16,0.0105,Fisher
int4,17,30,30,float16,0.170,Fisher
int3,17,30,30,float16,0.170,McNemar
int2,16,30,30,float16,0.03,McNemar
"""


def test_an_unpaired_test_on_the_same_prompts_is_answered_with_the_paired_one(audited: Auditor) -> None:
    found = audited(COMPARED)
    clear, open_ = found.finding("comparison/int8"), found.finding("comparison/int4")
    assert (clear.agrees, clear.stands) == (True, Stands.YES)
    assert clear.values["p_high"] == pytest.approx(2 / 2**7)  # 7 gained, 0 lost
    assert (open_.agrees, open_.stands) == (True, Stands.UNDECIDED)
    assert "use McNemar" in open_.meaning
    assert found.finding("comparison/int3").meaning == ""


def test_a_p_value_that_fishers_test_does_not_give_is_a_mismatch(audited: Auditor) -> None:
    found = audited(COMPARED.replace("0.0105", "0.005")).finding("comparison/int8")
    assert (found.outcome, found.published) == (Outcome.DIFFERS, "p = 0.005")


def test_repeats_behind_a_small_p_value_take_it_away(audited: Auditor) -> None:
    found = audited(
        "condition,successes,n,unique_prompts,against,p,test\n"
        "3B,50,50,10,32B,0.00000018,Fisher\n32B,30,50,10,,,\n"
    ).finding("comparison/3B")
    assert (found.agrees, found.stands) == (True, Stands.NO)
    assert found.values["p_low"] == pytest.approx(0.125)


def test_comparisons_are_corrected_together(audited: Auditor) -> None:
    found = audited(COMPARED).finding("correction")
    assert found.claim == "4 comparisons"
    # 4 × .0156 for int8; the others' best pairings give 6 lost (.031) and 7 lost (.0156).
    assert found.values["int8 against float16"] == pytest.approx(4 * 2 / 2**7)
    assert found.stands is Stands.NO


def test_the_best_of_a_declared_sweep_is_too_high(audited: Auditor) -> None:
    rows = "".join(f"L{layer},{count},10,10,depth\n" for layer, count in ((12, 5), (14, 5), (16, 6), (18, 5)))
    found = audited("condition,successes,n,unique_prompts,sweep\n" + rows).finding("sweep/depth")
    assert found.stands is Stands.NO
    assert found.values["best"] == 0.6
    assert found.values["optimism"] > 0.1
    assert "choose it on one half" in found.meaning


def test_conditions_not_called_a_sweep_are_not_accused_of_one(audited: Auditor) -> None:
    found = audited("condition,successes,n,unique_prompts\na,5,10,10\nb,5,10,10\n").finding("sweep")
    assert found.stands is Stands.UNDECIDED


def test_against_means_a_condition_of_the_same_model(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("model,condition,successes,n,against\nA,x,1,3,\nA,y,2,3,x\nB,x,1,3,\nB,y,2,3,A x\n")
    rows = read_table(path)
    assert [row.against for row in rows if isinstance(row, CountRow)] == [None, "A x", None, "A x"]


# ---- One row an output ----


def test_greedy_repeats_are_counted_once(audited: Auditor) -> None:
    text = outputs(steered=[1] * 6 + [0] * 4)
    repeated = text + "\n" + "\n".join(text.splitlines()[1:] * 4)
    found = audited(repeated).finding("rate/steered")
    assert (found.n, found.prompts, found.stands) == (50, 10, Stands.NO)
    assert "Wilson over 10 distinct prompts: [31.3, 83.2]" in found.due


def test_samples_that_vary_are_resampled_by_prompt_and_not_compared(audited: Auditor) -> None:
    lines = ["condition,prompt,success"]
    lines += [f"warm,p{number},{int(number % 2 == 0)}" for number in range(10) for _ in range(5)]
    lines += ["warm,p0,0"]
    found = audited("\n".join(lines))
    assert "cluster bootstrap by prompt over 10" in found.finding("rate/warm").due
    assert found.finding("rate/warm").stands is Stands.NO  # prompts agree within, so 51 is far from 51
    assert found.finding("sampled").outcome is Outcome.NO_DATA


def test_outputs_are_compared_in_pairs_and_corrected(audited: Auditor) -> None:
    found = audited(outputs(unsteered=[0] * 12, weak=[1] * 6 + [0] * 6, strong=[1] * 12))
    assert found.finding("comparison/unsteered/weak").values["p"] == pytest.approx(2 / 2**6)
    assert found.finding("comparison/unsteered/strong").values["p"] == pytest.approx(2 / 2**12)
    correction = found.finding("correction")
    assert correction.values["unsteered against strong"] == pytest.approx(3 * 2 / 2**12)
    assert correction.values["weak against strong"] == pytest.approx(2 * 2 / 2**6)
    assert correction.stands is Stands.NO  # the two of .031 are lost
    assert found.finding("sweep").claim == "Best of 2 conditions: strong"  # the control is no candidate


def test_many_conditions_are_compared_with_the_first(audited: Auditor) -> None:
    found = audited(outputs(**{f"c{number}": [number % 2, 1, 0] for number in range(12)}))
    compared = [finding for finding in found.findings if finding.id.startswith("comparison/")]
    assert len(compared) == 11
    assert all(finding.id.endswith("/c0") for finding in compared)


def test_labels_are_read_as_a_gauge_writes_them(audited: Auditor) -> None:
    found = audited("condition,prompt,label,text\na,p,refusal,x\na,q,garbled,y\na,r,normal,z\n")
    assert found.finding("rate/a").claim == "a: 1/3"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows below its header"),
        ("condition,n\na,1\n", "has the columns condition, n; an audit needs"),
        ("condition,successes,n\na,x,3\n", "line 2: successes must be a whole number, not 'x'"),
        ("condition,successes,n\na,-1,3\n", "line 2: successes must be a whole number"),
        ("condition,successes,n\na,4,3\n", "line 2: 4 successes among n = 3 cannot be"),
        ("condition,successes,n\na,0,0\n", "line 2: 0 successes among n = 0 cannot be"),
        ("condition,successes,n,unique_prompts\na,1,3,4\n", "line 2: 4 unique prompts among n = 3"),
        ("condition,successes,n\na,1,3\na,1,3\n", "line 3: the condition 'a' stands twice"),
        ("condition,successes,n,against\nab,1,3,\nb,1,3,abc\n", "line 3: against .* 'abc'; did you mean ab"),
        (
            "condition,successes,n,against\na,1,3,a\n",
            "line 2: against must name another .* there is no other",
        ),
        ("condition,successes,n,p\na,1,3,1.5\n", "line 2: p must be from 0 to 1, not 1.5"),
        ("condition,successes,n,p\na,1,3,n.s.\n", "line 2: p must be a number, not 'n.s.'"),
        ("condition,successes,n,low,high\na,1,3,90,10\n", "line 2: 90 to 10 is no interval"),
        ("condition,successes,n,low,high\na,1,3,,10\n", "line 2: an interval needs both low and high"),
        ("condition,successes,n\na,1\n", "line 2: not as many cells"),
        ("condition,successes,n\na,1,2,3\n", "line 2: not as many cells"),
        ("condition,condition,n\na,1,2\n", "line 1: a column is named twice"),
        ('condition,successes,n\n"a,1,2\n', "not valid CSV"),
        ("condition,prompt,success\na,p,maybe\n", "line 2: success must be 1 .* not 'maybe'"),
        ("condition,prompt,label\na,p,refused\n", "line 2: label must be refusal or .* not 'refused'"),
        ("condition,prompt,success\na,,1\n", "line 2: a prompt must not be blank"),
        ("prompt,success\np,1\n", "no column condition"),
    ],
)
def test_a_bad_table_is_told_in_one_line(text: str, words: str, audited: Auditor) -> None:
    with pytest.raises(SteergaugeError, match=words) as raised:
        audited(text)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SteergaugeError, match="No such file"):
        audit_file(tmp_path / "nothing.csv")
    (tmp_path / "latin.csv").write_bytes(b"condition,\xe9")
    with pytest.raises(SteergaugeError, match=r"cannot read .*latin.csv"):
        audit_file(tmp_path / "latin.csv")
