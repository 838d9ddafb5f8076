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
    "dose": Listed(
        "Which doses steer each model at a fixed block, and what does failure look like on each side?",
        "dose",
        "DoseStudy",
    ),
}
