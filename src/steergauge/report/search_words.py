"""A search in sentences, the same in the terminal and on the page."""

from steergauge.report import words
from steergauge.studies.result import GaugeResult
from steergauge.studies.search_record import SearchRecord


def search_sentences(result: GaugeResult) -> list[str]:
    """What was raced, what it cost, and how sure the winner is; nothing where the grid was swept."""
    search = result.search
    if search is None:
        return []
    said = [_race_words(search), _cost_words(result, search)]
    if result.best is None:
        return said
    titles = {condition.id: words.condition_words(condition) for condition in result.conditions}
    said += [
        f"Beside it at the end of the race: {titles[one.condition]}, with "
        f"{words.comparison_words(one.against_winner)}, on the choosing half."
        for one in search.finalists
    ]
    if search.left:
        said.append(
            f"Of the {search.left} that left earlier, {search.not_told_apart} cannot be told from the winner on the "
            "prompts that they saw (exact McNemar, p ≥ .05)."
        )
    sides = ", ".join(f"{words.number(one.dose)} {one.side}" for one in search.doses)
    said.append(f"Doses of its block and the threshold, by exact one-sided 95% bounds: {sides}.")
    return said


def shown_words(result: GaugeResult) -> str:
    """Of which prompts the rates of a map are."""
    if result.search is None:
        return f"{len(result.protocol.prompts)} prompts"
    counts = [condition.refusal.n + condition.refusal.unscored for condition in result.conditions]
    return f"the prompts shown there, {min(counts)} to {max(counts)}" if counts else "no prompts"


def _race_words(search: SearchRecord) -> str:
    first, *others = search.rungs
    steps = [f"{first.conditions} conditions on {first.prompts} prompts"]
    steps += [f"{rung.conditions} on {rung.prompts}" for rung in others]
    return f"Raced {', '.join(steps)}, of {search.choosing} in the choosing half."


def _cost_words(result: GaugeResult, search: SearchRecord) -> str:
    controls = len(result.protocol.prompts) + len(result.unsteered.contrast_outputs)
    for random in result.random_control.directions if result.random_control else ():
        controls += random.refusal.n + random.refusal.unscored
    return (
        f"It took {search.rows} outputs of {search.tokens:,} tokens, {search.share:.0%} of the grid's "
        f"{search.grid_rows} outputs: {search.race.rows} for the race, {search.winner.rows} for the winner's other "
        f"prompts, {search.window.rows} for its window."
        + (f" The {controls} outputs of the controls are beside that." if controls else "")
    )
