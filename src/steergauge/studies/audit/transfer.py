"""The transfer table: ratios, their intervals, and what is said of them."""

from math import sqrt

from steergauge.statistics.comparisons import PairedTable, possible_pairings
from steergauge.statistics.transfer import (
    TransferEfficiency,
    outcomes_from_counts,
    study_transfer_efficiency,
    transfer_efficiency,
)
from steergauge.studies.audit.check import Check, Checker
from steergauge.studies.audit.comparisons import due_test
from steergauge.studies.audit.finding import Finding, Stands, agrees, tolerance
from steergauge.studies.published import Published, PublishedRate, PublishedTransfer


def audit_transfers(study: Published) -> list[Finding]:
    """For each transfer: the ratio, and the artifacts' interval beside the paired one."""
    findings: list[Finding] = []
    for transfer in study.transfers:
        findings += [_ratio(study, transfer), _interval(study, transfer)]
    return findings


def _ratio(study: Published, transfer: PublishedTransfer) -> Finding:
    transferred, own = study.rate(transfer.transferred), study.rate(transfer.own)
    ratio = transferred.distinct.successes / own.distinct.successes
    hidden = transferred.place != "§11"
    return Finding(
        id=f"transfer/{transfer.id}/ratio",
        place="§11",
        claim=f"{_name(study, transfer)}: transfer efficiency",
        published=f"TE {transfer.efficiency}",
        recomputed=f"TE {ratio:.2f}",
        agrees=agrees(transfer.efficiency, ratio),
        tolerance=tolerance(transfer.efficiency),
        n=transferred.n,
        prompts=transferred.prompts,
        due=f"{transferred.coherent}% / {own.coherent}%",
        meaning="the table prints “Fails” for the rate; it is in the artifacts" if hidden else "",
        values={"ratio": ratio},
    )


def _interval(study: Published, transfer: PublishedTransfer) -> Finding:
    transferred, own = study.rate(transfer.transferred), study.rate(transfer.own)
    theirs = study_transfer_efficiency(outcomes(transferred), outcomes(own))
    ours = paired_range(transferred, own)
    agree = agrees(transfer.low, theirs.low) and agrees(transfer.high, theirs.high)
    return Finding(
        id=f"transfer/{transfer.id}/interval",
        place="transfer artifacts",
        claim=f"{_name(study, transfer)}: 95% interval of the efficiency",
        published=f"[{transfer.low}, {transfer.high}]",
        recomputed=f"[{theirs.low:.3f}, {theirs.high:.3f}]",
        agrees=agree,
        tolerance=tolerance(transfer.low),
        n=transferred.n,
        prompts=transferred.prompts,
        due=f"paired by prompt: {range_words(ours)}",
        meaning="the paper prints the ratio without an interval",
        values={
            "low": theirs.low,
            "high": theirs.high,
            "paired_low": min(one.low for one in ours),
            "paired_high": max(one.high for one in ours),
        },
    )


def outcomes(rate: PublishedRate) -> list[bool]:
    """The outcomes prompt by prompt: as published, or rebuilt from the count."""
    if rate.refused is not None:
        return [number in rate.refused for number in range(1, rate.prompts + 1)]
    return outcomes_from_counts(*rate.distinct)


def paired_range(transferred: PublishedRate, own: PublishedRate) -> list[TransferEfficiency]:
    """The paired efficiency under the pairing that was published, else under the closest and the farthest one."""
    known = transferred.refused is not None and own.refused is not None
    if known:
        pairs = [list(zip(outcomes(transferred), outcomes(own), strict=True))]
    else:
        tables = possible_pairings(transferred.distinct.successes, own.distinct.successes, own.distinct.n)
        pairs = [_pairs(table) for table in {tables[0], tables[-1]}]
    return [
        transfer_efficiency(
            {str(number): one for number, (one, _) in enumerate(pairing)},
            {str(number): other for number, (_, other) in enumerate(pairing)},
        )
        for pairing in pairs
    ]


def _pairs(table: PairedTable) -> list[tuple[bool, bool]]:
    return (
        [(True, True)] * table.both
        + [(True, False)] * table.gained
        + [(False, True)] * table.lost
        + [(False, False)] * table.neither
    )


def range_words(found: list[TransferEfficiency]) -> str:
    """The interval, or the widest reach over pairings."""
    reach = f"[{min(one.low for one in found):.2f}, {max(one.high for one in found):.2f}]"
    return reach if len(found) == 1 else f"{reach} at the widest pairing"


def _name(study: Published, transfer: PublishedTransfer) -> str:
    transferred = study.rate(transfer.transferred)
    source = study.model(transferred.method.removeprefix("DIM of ")).name
    return f"{source} → {study.model(transferred.model).name}"


def _efficiency_both_ways(study: Published) -> Check:
    lows = {}
    for transfer in study.transfers[:2]:
        found = paired_range(study.rate(transfer.transferred), study.rate(transfer.own))
        lows[transfer.id] = min(one.low for one in found)
    return Check(
        "the intervals begin at " + " and ".join(f"{low:.2f}" for low in lows.values()),
        stands=Stands.YES if min(lows.values()) >= 1 else Stands.UNDECIDED,
        n=30,
        prompts=30,
        due="paired by prompt, at the widest pairing",
        meaning="equal point estimates; 32B → 14B may lose some",
        values=lows,
    )


def _transfer_beats_own(study: Published) -> Check:
    transferred, own = study.rate("transfer-14b-32b"), study.rate("self-32b-15")
    test = due_test(transferred.distinct, own.distinct)
    return Check(
        f"{transferred.distinct.successes}/30 against {own.distinct.successes}/30",
        stands=Stands.YES if test.significant else Stands.NO,
        n=30,
        prompts=30,
        due=test.words,
        meaning="32B can be steered to 100%, so what its own direction lacks is not the model's steerability",
        values={"p": test.high},
    )


def _cross_cosine(study: Published) -> Check:
    widths = [study.model(study.rate(one.transferred).model).width for one in study.transfers]
    found = [
        float(one.cross_cosine) * sqrt(width) for one, width in zip(study.transfers, widths, strict=True)
    ]
    return Check(
        f"{found[2]:.1f} standard deviations of two random directions; same family {found[0]:.0f}",
        stands=Stands.YES if found[2] < 2 < found[0] else Stands.NO,
        due=f"random unit vectors: 0 ± {1 / sqrt(widths[2]):.4f} and ± {1 / sqrt(widths[0]):.4f}",
        values={"cross_family": found[2], "same_family": found[0]},
    )


def _calibrated_dose(study: Published) -> Check:
    doses = {rate.dose for rate in study.rates if rate.id.startswith("self-14b")}
    used = study.rate("self-14b-10").dose
    return Check(
        f"14B at {used}×, the best of {len(doses)}",
        stands=Stands.YES if used == 15 else Stands.NO,
        meaning="the scale study keeps 15× for all Qwen; so 14B’s own rate is 96.7% here, 90% there",
        values={"dose": float(used), "doses": len(doses)},
    )


CHECKS: dict[str, Checker] = {
    "efficiency-both-ways": _efficiency_both_ways,
    "transfer-beats-own": _transfer_beats_own,
    "cross-cosine": _cross_cosine,
    "calibrated-dose": _calibrated_dose,
}
