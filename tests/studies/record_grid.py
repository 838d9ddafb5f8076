"""Turns a store's grid into a test bed: `python tests/studies/record_grid.py STORE MODEL NEW_TOKENS > grids/NAME.csv`.

One line a condition, the unsteered model first. Prompts are the study's thirty, in their order; a label is its first
letter (r, g or n). Kept are the doses that every block has.
"""

import csv
import json
import sqlite3
import sys
from collections import defaultdict
from pathlib import Path
from typing import IO, NamedTuple

from steergauge.judging.gauge import GaugeJudge
from steergauge.judging.study import StudyJudge
from steergauge.prompts import study_evaluation_set

PROMPTS = [prompt.text for prompt in study_evaluation_set().prompts]
COLUMNS = ("block", "dose", "study", "gauge", "tokens")


class Output(NamedTuple):
    """What was said to one prompt."""

    text: str
    tokens: int


def record(store: Path, model: str, new_tokens: int, to: IO[str]) -> None:
    """Writes every whole condition of the study's steering along the direction that has most doses at a block."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        fingerprints = [
            fingerprint
            for fingerprint, text in database.execute("SELECT * FROM models")
            for described in [json.loads(text)]
            if described["name"] == model and not described.get("quantized_to")
        ]
        rows = database.execute(
            "SELECT steering, prompt, text, tokens FROM generations WHERE model = ? "
            "AND json_extract(decoding, '$.strategy') = 'greedy' AND json_extract(decoding, '$.max_new_tokens') = ?",
            (*fingerprints, new_tokens),
        ).fetchall()
    unsteered: dict[str, Output] = {}
    steered: defaultdict[tuple[int, str], defaultdict[float, dict[str, Output]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for steering, prompt, text, tokens in rows:
        said, output = json.loads(steering), Output(text, len(json.loads(tokens)))
        if said["operation"] == "none":
            unsteered[prompt] = output
        elif said["operation"] == "add" and said["positions"] == "all" and "last_block" not in said:
            added = set(said.get("coefficients", [])[said.get("first_block", 0) :])
            if len(added) == 1:
                steered[said["first_block"], said["vector"]][added.pop()][prompt] = output
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerow(["", "", *_line(unsteered)])
    grid: dict[int, dict[float, dict[str, Output]]] = {}
    for block in sorted({block for block, _ in steered}):
        whole = [
            {dose: outputs for dose, outputs in doses.items() if set(PROMPTS) <= set(outputs)}
            for (at, _), doses in steered.items()
            if at == block
        ]
        most = max(whole, key=len)
        if len(most) > 1:  # one dose alone is a control, or another study's
            grid[block] = most
    shared = set.intersection(*(set(along) for along in grid.values()))
    for block, along in grid.items():
        for dose in sorted(shared):
            writer.writerow([block, f"{dose:g}", *_line(along[dose])])


def _line(outputs: dict[str, Output]) -> list[str]:
    texts = [outputs[prompt].text for prompt in PROMPTS]
    letters = [
        "".join(judge.judge(text).label.value[0] for text in texts) for judge in (StudyJudge(), GaugeJudge())
    ]
    return [*letters, " ".join(str(outputs[prompt].tokens) for prompt in PROMPTS)]


if __name__ == "__main__":
    record(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.stdout)
