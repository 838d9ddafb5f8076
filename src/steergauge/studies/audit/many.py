"""What comes of many conditions: comparisons to correct, and a best one to discount."""

from collections.abc import Mapping

from steergauge.statistics.comparisons import adjust_benjamini_hochberg, adjust_holm
from steergauge.statistics.optimism import Optimism
from steergauge.studies.audit.check import listed, share
from steergauge.studies.audit.comparisons import LEVEL
from steergauge.studies.audit.finding import Finding, Stands

# An optimism under this is not worth a second set of prompts.
NEGLIGIBLE = 0.02
REPEATED = (
    "outputs of one prompt are not independent; under greedy decoding they are the same: count distinct "
    "prompts, or with sampling resample by prompt"
)


def correction(p_values: Mapping[str, float]) -> Finding:
    """Holm and Benjamini–Hochberg over all comparisons of a table."""
    raw = list(p_values.values())
    holm = dict(zip(p_values, adjust_holm(raw), strict=True))
    rate = dict(zip(p_values, adjust_benjamini_hochberg(raw), strict=True))
    significant = [name for name, value in p_values.items() if value <= LEVEL]
    lost = [name for name in significant if holm[name] > LEVEL]
    kept = len(significant) - len(lost)
    false_discoveries = sum(value <= LEVEL for value in rate.values())
    return Finding(
        id="correction",
        place="all lines",
        claim=f"{len(raw)} comparisons",
        published="",
        recomputed=f"{len(significant)} have p ≤ {LEVEL}",
        stands=Stands.NO if lost else Stands.YES,
        due=f"Holm keeps {share(kept, len(significant))}, Benjamini–Hochberg {false_discoveries}"
        + (f"; lost: {listed(lost)}" if lost else ""),
        meaning="correct for every comparison that was looked at, not only for those reported"
        if lost
        else "",
        values=holm,
    )


def selection(
    sweep: str, best: str, prompts: int, found: Optimism, *, declared: bool, held_out: str = ""
) -> Finding:
    """What the best of a sweep is worth; `declared` says that the table names it as one."""
    high = found.optimism >= NEGLIGIBLE
    too_high = Stands.NO if declared else Stands.UNDECIDED
    return Finding(
        id=f"sweep/{sweep}" if sweep else "sweep",
        place="all lines",
        claim=f"Best of {found.conditions} conditions{f' of {sweep}' if sweep else ''}: {best}",
        published="",
        recomputed=f"{100 * found.best:.1f}%",
        stands=too_high if high else Stands.YES,
        prompts=prompts,
        due=f"{held_out}expected excess of the best: {100 * found.optimism:.1f} points",
        meaning="if you report the best, choose it on one half of the prompts and report the other half’s rate"
        if high
        else "",
        values={"best": found.best, "optimism": found.optimism},
    )
