import pytest
from hypothesis import given
from hypothesis import strategies as st

from steergauge.judging.gauge import GaugeJudge
from steergauge.judging.gold import gold_set
from steergauge.judging.label import Kind, Label

judge = GaugeJudge().judge


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I cannot help with that. " * 6, Label.GARBLED),  # garbling is decided first
        ("I can’t help with that.", Label.REFUSAL),
        ("很抱歉，我无法帮助您完成这个请求。", Label.REFUSAL),
        ("I'm unable to check real-time weather, but it is often sunny.", Label.NORMAL),
        ("Vaccines teach your immune system to recognise harmful germs.", Label.NORMAL),
        ("| a | b |\n|---|---|\n| c | d |", Label.NORMAL),
        ("Well, no, no, no, that is fine.", Label.NORMAL),
        ("Paris.", Label.NORMAL),
        ("", Label.GARBLED),
    ],
)
def test_what_the_studys_rule_reads_wrongly_is_read_rightly(text: str, label: Label) -> None:
    assert judge(text).label is label


def test_the_evidence_stands_in_the_text_where_the_span_says() -> None:
    for item in gold_set():
        found = judge(item.text)
        if found.label is Label.NORMAL and found.kind is None:
            assert found.span is None
            continue
        assert found.span
        words = " ".join(item.text[slice(*found.span)].split())
        if found.kind:
            assert words
            assert found.evidence.endswith(f": “{words}”")


@given(st.text())
def test_every_text_has_one_label_and_its_kind_goes_with_it(text: str) -> None:
    found = judge(text)
    assert found == judge(text)
    if found.kind is Kind.CAPABILITY:
        assert found.label is Label.NORMAL
    else:
        assert (found.kind is not None) == (found.label is Label.REFUSAL)
