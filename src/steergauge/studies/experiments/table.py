"""Every study by its name, in the paper's order. It imports none of them: listing is quick."""

from typing import NamedTuple


class Listed(NamedTuple):
    """What a study asks, and where it is: a module of this package and its class there."""

    question: str
    module: str
    experiment: str


EXPERIMENTS = {
    "architecture": Listed(
        "Are models of different families steerable, each at its best block and dose?",
        "architecture",
        "Architecture",
    ),
    "scale": Listed(
        "Does steering work less well in larger models of a family, also at equal relative doses?",
        "scale",
        "Scale",
    ),
    "depth": Listed(
        "At which depth is each model steered best, and how certain is that?",
        "depth",
        "Depth",
    ),
    "method": Listed(
        "Does DIM steer as well as COSMIC, with COSMIC at its own block and with both swept?",
        "method",
        "Method",
    ),
    "quantization": Listed(
        "Does steering survive quantisation, with directions of its own and with those of full precision?",
        "quantization",
        "Quantization",
    ),
    "dose": Listed(
        "Which doses steer each model at a fixed block, and what does failure look like on each side?",
        "dose",
        "DoseStudy",
    ),
    "tooling": Listed(
        "Do the tools read one direction on each model, and which mistakes make a gap like the study's?",
        "tooling",
        "Tooling",
    ),
    "rank": Listed(
        "How many directions does the class difference need, and does that grow with size (hypotheses 1 and 3)?",
        "rank",
        "Rank",
    ),
    "nonlinear": Listed(
        "Hypothesis 2: where DIM fails, does a nonlinear method (RFM) or steering heads (ITI) succeed?",
        "nonlinear",
        "Nonlinear",
    ),
    "stability": Listed(
        "Hypothesis 4: is the direction fragile, another one with other contrast prompts?",
        "stability",
        "StabilityStudy",
    ),
    "transfer": Listed(
        "Does one model's direction steer another, at that one's own best block and dose?",
        "transfer",
        "Transfer",
    ),
    "extraction": Listed(
        "How far do the direction and its refusals depend on the contrast set, its size and its prompts?",
        "extraction",
        "Extraction",
    ),
    "sampling": Listed(
        "Does the greedy verdict hold at temperatures above 0, with several samples a prompt?",
        "sampling",
        "SamplingStudy",
    ),
}
