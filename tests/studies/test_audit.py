"""What the audit finds: every row of methods.md, section 7, and what that page missed."""

from decimal import Decimal
from pathlib import Path

import pytest

from steergauge.studies.audit.finding import Audit, Outcome, Stands, agrees, p_words, tolerance
from steergauge.studies.audit.study import CHECKS, audit_study
from steergauge.studies.published import Published, published


@pytest.fixture(scope="module")
def audit() -> Audit:
    return audit_study()


# ---- methods.md, section 7, row by row ----


def test_3b_against_32b_on_50_outputs(audit: Audit) -> None:
    p, h = audit.finding("scale/p"), audit.finding("scale/h")
    assert (p.published, p.agrees) == ("p = 0.005", False)
    assert p.values["p"] == pytest.approx(1.8e-7, rel=0.05)
    assert p.values["p_distinct"] == pytest.approx(0.087, abs=5e-4)
    assert (p.n, p.prompts) == (50, 10)
    assert (h.published, h.agrees) == ("h = 1.06", False)
    assert h.values["h"] == pytest.approx(1.37, abs=5e-3)


def test_30_of_30_against_23_of_30(audit: Audit) -> None:
    found = audit.finding("headline/conclusion")
    assert found.recomputed == "30/30 against 23/30"
    assert found.values["p_unpaired"] == pytest.approx(0.0105, abs=5e-5)
    assert found.values["p_unpaired_one_sided"] == pytest.approx(0.0053, abs=5e-5)
    assert "one-sided" in audit.finding("scale/p").meaning  # where the printed .005 comes from


def test_32b_dim_against_cosmic(audit: Audit) -> None:
    found = audit.finding("cosmic-32b/p")
    assert (found.published, found.agrees) == ("p < 0.001", True)
    assert found.values["p"] == pytest.approx(2e-7, rel=0.05)
    assert found.values["p_distinct"] == pytest.approx(0.057, abs=5e-4)
    assert audit.finding("cosmic-32b/conclusion").stands is Stands.NO


def test_gemma_9b_dim_against_cosmic(audit: Audit) -> None:
    h, conclusion = audit.finding("cosmic-gemma-9b/h"), audit.finding("cosmic-gemma-9b/conclusion")
    assert (h.published, h.agrees) == ("h = 0.50", False)
    assert h.values["h"] == pytest.approx(0.52, abs=5e-3)
    assert conclusion.values["p_unpaired"] == pytest.approx(0.58, abs=5e-3)


def test_32b_full_precision_against_int4(audit: Audit) -> None:
    p, h = audit.finding("int4-32b/p"), audit.finding("int4-32b/h")
    assert (p.published, p.agrees) == ("p = 0.11", False)
    assert p.values["p"] == pytest.approx(0.170, abs=5e-4)
    assert p.values["p_one_sided"] == pytest.approx(0.085, abs=5e-4)
    assert (h.published, h.agrees) == ("h = 0.42", False)
    assert h.values["h"] == pytest.approx(0.43, abs=5e-3)
    assert "McNemar on 30 prompts" in audit.finding("int4-32b/conclusion").due


def test_gemma_9b_against_27b(audit: Audit) -> None:
    found = audit.finding("scale-gemma/h")
    assert (found.published, found.agrees) == ("h = 2.16", False)
    assert found.values["h"] == pytest.approx(2.77, abs=5e-3)


def test_wilson_for_a_full_house(audit: Audit) -> None:
    found = audit.finding("interval/wilson-30-of-30")
    assert (found.published, found.recomputed, found.agrees) == ("[88.7, 100]", "[88.6, 100.0]", False)


def test_wilson_half_widths(audit: Audit) -> None:
    thirty, fifty = audit.finding("half-width/30-50"), audit.finding("half-width/50-50")
    assert (thirty.published, thirty.agrees) == ("±13", False)
    assert thirty.values["points"] == pytest.approx(16.8, abs=0.05)
    assert (fifty.published, fifty.agrees) == ("±10", False)
    assert fifty.values["points"] == pytest.approx(13.4, abs=0.05)


# ---- What else it finds; the values are computed by hand ----


def test_the_pairing_that_was_not_published_decides_int4(audit: Audit) -> None:
    """From 23 and 17 of 30: at best 6 prompts lost and none gained, at worst 13 and 7."""
    found = audit.finding("int4-32b/conclusion")
    assert found.values["p_low"] == pytest.approx(2 / 2**6)
    assert found.values["p_high"] == pytest.approx(0.2632, abs=1e-4)
    assert found.outcome is Outcome.UNDECIDED
    assert audit.finding("int4-large").outcome is Outcome.UNDECIDED


def test_the_headline_holds_and_its_ten_prompt_form_does_not(audit: Audit) -> None:
    headline, scale = audit.finding("headline/conclusion"), audit.finding("scale/conclusion")
    assert [headline.outcome, scale.outcome] == [Outcome.HOLDS, Outcome.DOES_NOT_STAND]
    assert headline.values["p_high"] == pytest.approx(2 / 2**7)
    assert scale.values["p_low"] == pytest.approx(2 / 2**4)


def test_the_wrong_effect_size_of_14b_against_32b(audit: Audit) -> None:
    found = audit.finding("scale-14b-n50/h")
    assert (found.published, found.agrees) == ("h = 0.71", False)
    assert found.values["h"] == pytest.approx(0.726, abs=5e-4)
    assert audit.finding("scale-14b-n30/h").agrees is True


@pytest.mark.parametrize("rate", ["scale-3b", "scale-7b", "scale-14b", "scale-gemma-2b", "scale-gemma-27b"])
def test_intervals_of_repeats_are_right_and_too_narrow(rate: str, audit: Audit) -> None:
    found = audit.finding(f"interval/{rate}")
    assert found.agrees is True
    assert found.outcome is Outcome.DOES_NOT_STAND
    width = found.values["high"] - found.values["low"]
    assert found.values["distinct_high"] - found.values["distinct_low"] > 1.8 * width


@pytest.mark.parametrize("transfer", ["14b-32b", "32b-14b", "7b-gemma-9b", "gemma-9b-7b"])
def test_the_transfer_intervals_are_reproduced(transfer: str, audit: Audit) -> None:
    assert audit.finding(f"transfer/{transfer}/ratio").agrees is True
    assert audit.finding(f"transfer/{transfer}/interval").agrees is True


def test_te_of_at_least_one_in_both_directions_is_undecided(audit: Audit) -> None:
    found = audit.finding("efficiency-both-ways")
    assert found.outcome is Outcome.UNDECIDED
    assert found.values["14b-32b"] > 1 > found.values["32b-14b"]


def test_facts_of_the_text_that_its_own_tables_contradict(audit: Audit) -> None:
    differs = {finding.id for finding in audit.findings if finding.outcome is Outcome.DIFFERS}
    assert differs >= {
        "models-counted",
        "contrast-pairs",
        "fifty-prompts",
        "thirty-unless-noted",
        "baseline-precision",
        "shown-outputs",
        "sliding-window",
        "rater-margin",
        "headline-runs",
        "bimodal",
        "perfect-small",
        "depth-shift",
        "cosmic-never-better",
        "cosine-falls",
        "angle-width",
        "half-width/30-100",
    }


def test_one_multiplier_is_a_falling_dose(audit: Audit) -> None:
    """15/21.14, 15/26.22, 15/33.05, 15/63.16."""
    found = audit.finding("equal-dose")
    assert found.recomputed == "0.71 / 0.57 / 0.45 / 0.24 class separations"
    assert found.values["total_qwen-32b"] == 480
    assert found.stands is Stands.NO


def test_the_decline_is_there_and_is_not_monotone(audit: Audit) -> None:
    found = audit.finding("monotone")
    assert found.stands is Stands.NO
    assert found.values["p_table"] == pytest.approx(0.00715, abs=1e-5)
    assert audit.finding("trend-best-dose").stands is Stands.YES


def test_correction_leaves_the_four_largest_differences(audit: Audit) -> None:
    found = audit.finding("multiple-comparisons")
    kept = {name for name, value in found.values.items() if value <= 0.05}
    assert kept == {"scale-gemma", "architecture", "tooling", "tooling-3b"}
    assert found.recomputed == f"4 of {len(found.values)} survive Holm"


def test_the_tooling_gap_was_withdrawn_by_the_later_run(audit: Audit) -> None:
    assert audit.finding("tooling/difference").agrees is True
    assert audit.finding("tooling-later").stands is Stands.NO


def test_what_is_right_is_said_to_be(audit: Audit) -> None:
    for id_ in ("attainable", "tiers", "depth-labels", "angle", "parameter-ratio", "headline/difference"):
        assert audit.finding(id_).outcome is Outcome.HOLDS


# ---- The audit itself ----


def with_rate(study: Published, id_: str, **fields: object) -> Published:
    rates = tuple(rate.model_copy(update=fields) if rate.id == id_ else rate for rate in study.rates)
    return study.model_copy(update={"rates": rates})


def with_comparison(study: Published, id_: str, **fields: object) -> Published:
    changed = tuple(one.model_copy(update=fields) if one.id == id_ else one for one in study.comparisons)
    return study.model_copy(update={"comparisons": changed})


def test_a_right_number_would_have_been_found_right() -> None:
    study = with_comparison(published(), "int4-32b", p=Decimal("0.170"), h=Decimal("0.43"))
    found = audit_study(study)
    assert found.finding("int4-32b/p").agrees is True
    assert found.finding("int4-32b/h").agrees is True


@pytest.mark.parametrize(
    ("rate", "fields", "check"),
    [
        ("scale-14b", {"coherent": Decimal(91)}, "attainable"),
        ("architecture-gemma-9b", {"normal": Decimal(5)}, "tiers"),
        ("depth-7b-60", {"blocks": (17,)}, "depth-labels"),
    ],
)
def test_a_wrong_cell_would_have_been_found_wrong(rate: str, fields: dict[str, object], check: str) -> None:
    assert audit_study(with_rate(published(), rate, **fields)).finding(check).agrees is False


def test_every_statement_has_its_check_and_every_check_its_statement() -> None:
    assert sorted(CHECKS) == sorted(statement.id for statement in published().statements)


def test_findings_have_distinct_ids_and_mismatches_come_first(audit: Audit) -> None:
    ids = [finding.id for finding in audit.findings]
    assert len(set(ids)) == len(ids)
    ranks = [list(Outcome).index(finding.outcome) for finding in audit.findings]
    assert ranks == sorted(ranks)


def test_the_json_reads_back(audit: Audit) -> None:
    assert Audit.model_validate_json(audit.to_json()) == audit
    with pytest.raises(KeyError):
        audit.finding("nothing")


@pytest.mark.parametrize(
    ("printed", "value", "equal"),
    [
        ("0.50", 0.504, True),
        ("0.50", 0.506, False),
        ("77", 76.7, True),
        ("88.7", 88.65, True),
        ("100", 99.4, False),
    ],
)
def test_a_number_agrees_within_half_its_last_digit(printed: str, value: float, equal: bool) -> None:
    assert agrees(Decimal(printed), value) is equal


def test_small_numbers_are_written_shortly() -> None:
    assert tolerance(Decimal("0.005")) == pytest.approx(0.0005)
    assert [p_words(value) for value in (0.0105425, 0.17022, 1.7586e-7, 1.0)] == [
        "0.0105",
        "0.17",
        "1.8e-7",
        "1",
    ]


def test_the_documentation_counts_what_the_audit_finds(audit: Audit) -> None:
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    counted = {
        line.split("|")[1].strip(): int(line.split("|")[2])
        for line in page.splitlines()
        if line[:3] in ("| ✗", "| !", "| ?", "| ✓")
    }
    assert list(counted.values()) == [audit.count(outcome) for outcome in Outcome]
