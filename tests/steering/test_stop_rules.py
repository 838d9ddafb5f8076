"""Generations that end where their request's rule says so, in the reference engine."""

from collections.abc import Callable, Sequence

from steered import example, run
from steergauge.models.loading import Model
from steergauge.prompts import study_evaluation_set
from steergauge.steering.engine import Decoding, Request, StopRule
from steergauge.steering.operation import Operation

PROMPTS = [prompt.text for prompt in study_evaluation_set().prompts[:4]]


def requests(model: Model, rules: Sequence[StopRule | None], limit: int = 18) -> list[Request]:
    return [
        Request(prompt, example(model, 1, 2.0, Operation.ADD, seed=row), Decoding(limit, stop=rule))
        for row, (prompt, rule) in enumerate(zip(PROMPTS, rules, strict=False))
    ]


def test_a_row_ends_early_where_its_rule_holds_and_no_other_row_changes(
    tiny_model: Callable[[str], Model],
) -> None:
    model = tiny_model("qwen2")
    at_8 = StopRule("at 8", lambda tokens, left: len(tokens) >= 7)
    never = StopRule("never", lambda tokens, left: False)
    full = run(model, requests(model, [None] * 4))
    ended = run(model, requests(model, [at_8, None, never, at_8]))
    assert [one.finish for one in full] == ["length"] * 4  # else it would prove nothing
    assert ended[1:3] == full[1:3]
    for short, whole in ((ended[0], full[0]), (ended[3], full[3])):
        assert short.finish == "decided"
        assert short.tokens == whole.tokens[:8]
        assert short.text == model.tokenizer.decode(list(whole.tokens[:8]), skip_special_tokens=True)


def test_a_rule_is_asked_of_the_tokens_so_far_and_of_how_many_may_follow(
    tiny_model: Callable[[str], Model],
) -> None:
    model = tiny_model("qwen2")
    asked: list[tuple[tuple[int, ...], int]] = []

    def holds(tokens: Sequence[int], left: int) -> bool:
        asked.append((tuple(tokens), left))
        return False

    (made,) = run(model, requests(model, [StopRule("asks", holds)]))
    assert asked == [(made.tokens[:end], 18 - end) for end in (4, 8, 12, 16)]


def test_an_output_that_ends_by_itself_or_at_its_length_is_full_whatever_the_rule(
    phantom_model: Model,
) -> None:
    always = StopRule("always", lambda tokens, left: True)
    unruled = run(phantom_model, requests(phantom_model, [None] * 4, limit=4))
    assert run(phantom_model, requests(phantom_model, [always] * 4, limit=4)) == unruled
    assert "decided" not in {one.finish for one in unruled}


def test_a_rule_is_part_of_a_decodings_identity_and_none_is_not() -> None:
    rule = StopRule("by a rule", lambda tokens, left: False)
    assert Decoding(5, stop=rule).identity() == {**Decoding(5).identity(), "stop": "by a rule"}
    assert Decoding(5, stop=rule).in_full() == Decoding(5)
    assert "stop" not in Decoding(5).identity()
