"""The store: every generation, once, in one SQLite database."""

import hashlib
import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

import pandas as pd

from steergauge.errors import SteergaugeError
from steergauge.judging.label import BatchJudge, Judge, Judgement, Label, Reading, read_all
from steergauge.steering.engine import Generation, Request

VERSION = 3

# What each version added; a store of an older one is brought up to date when it is opened.
_TABLES = {
    1: """
CREATE TABLE models (fingerprint TEXT PRIMARY KEY, description TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE vectors (digest TEXT PRIMARY KEY, float32 BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (study TEXT PRIMARY KEY, resolved TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE generations (
    key TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    engine TEXT NOT NULL,
    steering TEXT NOT NULL,
    decoding TEXT NOT NULL,
    prompt TEXT NOT NULL,
    rendered TEXT NOT NULL,
    text TEXT NOT NULL,
    tokens TEXT NOT NULL,
    finish TEXT NOT NULL,
    made TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE labels (
    key TEXT NOT NULL REFERENCES generations (key),
    judge TEXT NOT NULL,
    version TEXT NOT NULL,
    label TEXT NOT NULL,
    evidence TEXT NOT NULL,
    PRIMARY KEY (key, judge, version)
) WITHOUT ROWID;
""",
    2: """
CREATE TABLE ratings (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL REFERENCES generations (key),
    rater TEXT NOT NULL,
    showing INTEGER NOT NULL,
    label TEXT NOT NULL,
    note TEXT NOT NULL,
    given TEXT NOT NULL
);
""",
    # Where the evidence stands in the text, in code points; NULL in labels of before, until they are made again.
    3: """
ALTER TABLE labels ADD COLUMN evidence_start INTEGER;
ALTER TABLE labels ADD COLUMN evidence_end INTEGER;
""",
}

# SQLite takes at most 32,766 values in a statement; a thousand keeps it quick and far from that.
_AT_ONCE = 1000
_PATIENCE = 60.0  # seconds to wait for another process
_LABELS_AT_ONCE = 100  # kept together: when a judge fails, no more than these are lost
_UNSCORED = "unscored"  # what stands for a label that a judge could not give


class Setting(NamedTuple):
    """What a request is made with, beside its own steering and decoding."""

    model: str  # fingerprint
    engine: str  # name and version


def address(setting: Setting, request: Request, rendered: str) -> str:
    """The content address of a generation: equal inputs have equal addresses, in every study.

    A SHA-256 over the model's fingerprint, the engine and its version, the steering (vector, blocks,
    coefficients, operation, positions), the decoding and the rendered prompt.
    """
    parts = {
        **setting._asdict(),
        "steering": request.steering.identity(),
        "decoding": request.decoding.identity(),
        "rendered": rendered,
    }
    return hashlib.sha256(_canonical(parts).encode()).hexdigest()


class Addressed(NamedTuple):
    """A request with its address and the prompt as the model is shown it."""

    key: str
    request: Request
    rendered: str


class Rating(NamedTuple):
    """A label that a person gave to a generation. People's labels are facts: they are kept as given."""

    key: str
    rater: str
    showing: int  # 1, or 2 where the rater was shown the output again to measure how steady they are
    label: Label
    note: str


class Kept(NamedTuple):
    """A generation as those read it who label outputs; equal conditions are equal texts."""

    condition: str  # model, steering and decoding; a prompt's samples have one condition
    prompt: str
    text: str
    finish: str


class Store:
    """Generations by content address. Opens the database, and makes it where there is none.

    Raises:
        SteergaugeError: not a store, one of a newer version, or a disk that is full or forbidden.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.added = 0  # generations that it did not hold before, since it was opened here
        with self._told():
            # Two processes may write; each waits for the other's transaction.
            self._database = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def _prepare(self) -> None:
        self._refuse_other_databases()  # first: nothing is written into what is not ours
        self._use_write_ahead_log()
        with self._transaction():
            for version in range(self._version() + 1, VERSION + 1):  # another process may have done it by now
                for statement in filter(str.strip, _TABLES[version].split(";")):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {version}")

    def _use_write_ahead_log(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                # Here alone SQLite does not wait for another process, which is making the same store.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _refuse_other_databases(self) -> None:
        self._database.execute("BEGIN")  # one moment of a database that another process may be making
        version = self._version()
        tables = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master")}
        self._database.execute("COMMIT")
        if tables and (version == 0 or "generations" not in tables):
            raise SteergaugeError(
                f"{self.path} is a database of something else; give another file with --store"
            )
        if version > VERSION:
            raise SteergaugeError(
                f"{self.path} is a store of version {version} and this steergauge reads up to {VERSION}: "
                "upgrade steergauge, or give another file with --store"
            )

    def _version(self) -> int:
        return int(self._database.execute("PRAGMA user_version").fetchone()[0])

    def get(self, keys: Sequence[str]) -> dict[str, Generation]:
        """The generations that are here, by address."""
        found: dict[str, Generation] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            with self._told():
                rows = self._database.execute(
                    f"SELECT key, text, tokens, finish FROM generations WHERE key IN ({marks})", some
                ).fetchall()
            for key, text, tokens, finish in rows:
                found[key] = Generation(text, tuple(json.loads(tokens)), finish)
        return found

    def add(self, setting: Setting, made: Sequence[tuple[Addressed, Generation]]) -> None:
        """Keeps generations, all or none of them; one that is here already stays as it is."""
        now, added = datetime.now(UTC).isoformat(timespec="seconds"), 0
        with self._transaction():
            for (key, request, rendered), generation in made:
                identity = request.steering.identity()
                if "vector" in identity:
                    self._database.execute(
                        "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
                        (identity["vector"], request.steering.vector.tobytes()),
                    )
                cursor = self._database.execute(
                    "INSERT OR IGNORE INTO generations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        key,
                        *setting,
                        _canonical(identity),
                        _canonical(request.decoding.identity()),
                        request.prompt,
                        rendered,
                        generation.text,
                        json.dumps(generation.tokens),
                        generation.finish,
                        now,
                    ),
                )
                added += cursor.rowcount
        self.added += added

    def describe_model(self, fingerprint: str, description: Mapping[str, Any]) -> None:
        """Keeps what a fingerprint stands for."""
        with self._transaction():
            self._database.execute(
                "INSERT OR IGNORE INTO models VALUES (?, ?)", (fingerprint, _canonical(description))
            )

    def resolve_run(self, study: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
        """Keeps what a study resolved to when it first ran, and returns that at every later run.

        A run that continues must form the same batches as the one that was interrupted: in low precision an
        output depends on its batch.
        """
        digest = hashlib.sha256(_canonical(study).encode()).hexdigest()
        with self._transaction():
            self._database.execute("INSERT OR IGNORE INTO runs VALUES (?, ?)", (digest, _canonical(resolved)))
            row = self._database.execute("SELECT resolved FROM runs WHERE study = ?", (digest,)).fetchone()
        kept: dict[str, Any] = json.loads(row[0])
        return kept

    def label(self, judge: Judge, texts: Mapping[str, str]) -> dict[str, Reading]:
        """Judges texts by address, and keeps the labels as they come; what was unscored is kept as that.

        Labels that a `BatchJudge` gave before are found again. What it could not score is asked again.
        """
        found = self._labels(judge, texts) if isinstance(judge, BatchJudge) else {}
        missing: defaultdict[str, list[str]] = defaultdict(list)  # text → addresses
        for key, text in texts.items():
            if key not in found:
                missing[text].append(key)
        read = read_all(judge, missing)
        while some := dict(islice(read, _LABELS_AT_ONCE)):
            judged = {key: reading for text, reading in some.items() for key in missing[text]}
            with self._transaction():
                self._database.executemany(
                    "INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [
                        (
                            key,
                            judge.name,
                            judge.version,
                            reading.label or _UNSCORED,
                            reading.evidence,
                            *(reading.span or (None, None)),
                        )
                        for key, reading in judged.items()
                    ],
                )
            found |= judged
        return {key: found[key] for key in texts}

    def _labels(self, judge: Judge, keys: Iterable[str]) -> dict[str, Reading]:
        """The labels that a judge of this name and version gave before."""
        with self._told():
            rows = self._database.execute(
                "SELECT key, label, evidence FROM labels WHERE judge = ? AND version = ? AND label != ?",
                (judge.name, judge.version, _UNSCORED),
            ).fetchall()
        wanted = set(keys)
        return {key: Judgement(Label(label), evidence) for key, label, evidence in rows if key in wanted}

    def generations(self) -> dict[str, Kept]:
        """Every generation with the condition that it was made under, by address."""
        decoding = "json_remove(decoding, '$.seed', '$.sample', '$.stop')"
        with self._told():
            rows = self._database.execute(
                f"SELECT key, model || ' ' || steering || ' ' || {decoding}, prompt, text, finish FROM generations"
            ).fetchall()
        return {key: Kept(*row) for key, *row in rows}

    def rate(self, rating: Rating) -> None:
        """Keeps a person's label as it was given. A changed mind is a further rating; none is overwritten."""
        with self._transaction():
            self._database.execute(
                "INSERT INTO ratings (key, rater, showing, label, note, given) VALUES (?, ?, ?, ?, ?, ?)",
                (
                    rating.key,
                    rating.rater,
                    rating.showing,
                    rating.label.value,
                    rating.note,
                    datetime.now(UTC).isoformat(timespec="seconds"),
                ),
            )

    def ratings(self) -> list[Rating]:
        """Every label that a person gave, in the order given."""
        with self._told():
            rows = self._database.execute(
                "SELECT key, rater, showing, label, note FROM ratings ORDER BY id"
            ).fetchall()
        return [Rating(key, rater, showing, Label(label), note) for key, rater, showing, label, note in rows]

    def to_pandas(self) -> pd.DataFrame:
        """Every generation with its labels: one row a generation and judge."""
        query = (
            "SELECT generations.*, judge, version AS judge_version, label, evidence, evidence_start, evidence_end "
            "FROM generations LEFT JOIN labels USING (key) ORDER BY key, judge"
        )
        with self._told():
            rows = self._database.execute(query)
            table = pd.DataFrame(rows.fetchall(), columns=[column[0] for column in rows.description])
        return table.astype({"evidence_start": "Int64", "evidence_end": "Int64"})

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._told():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")  # inside: one that fails may leave it open
            except BaseException:
                if self._database.in_transaction:  # a full disk has ended it already
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turns the database's complaints into one line."""
        try:
            yield
        except sqlite3.Error as error:
            what = {
                "file is not a database": "is not a steergauge store; give another file with --store",
                "database or disk is full": "cannot grow, the disk is full; free some room and run again: "
                "what was made is kept",
            }.get(str(error), f"cannot be used: {error}")
            raise SteergaugeError(f"the store {self.path} {what}") from None


@contextmanager
def open_store(store: Store | Path | str) -> Iterator[Store]:
    """A store while the context is open; one that was open before stays open.

    Raises:
        SteergaugeError: as `Store`.
    """
    if isinstance(store, Store):
        yield store
        return
    with Store(Path(store)) as opened:
        yield opened


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
