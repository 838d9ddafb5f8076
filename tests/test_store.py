"""Every generation once: addresses, whole writes, other programs' files, full disks and two processes."""

import json
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steergauge.errors import SteergaugeError
from steergauge.judging.gauge import GaugeJudge
from steergauge.judging.label import Judgement, Label, Span
from steergauge.judging.study import StudyJudge
from steergauge.report.tables import write_table
from steergauge.steering.engine import Decoding, Generation, Request, Sampling
from steergauge.steering.operation import Operation
from steergauge.steering.steering import Steering, unsteered
from steergauge.store import VERSION, Addressed, Rating, Setting, Store, address

SETTING = Setting("fingerprint", "torch 1")
BLOCKS, WIDTH = 4, 8


def unit(axis: int) -> Any:
    return np.eye(WIDTH, dtype=np.float32)[axis]


def address_of(**changed: Any) -> str:
    """The address of one generation, with some of its inputs changed."""
    inputs: dict[str, Any] = {
        "model": "fingerprint",
        "engine": "torch 1",
        "vector": unit(0),
        "coefficients": [0.0, 0.0, 2.0, 2.0],
        "first_block": 2,
        "operation": Operation.ADD,
        "decoding": Decoding(10),
        "rendered": "<user>hello",
    } | changed
    steering = Steering(
        inputs["vector"], np.array(inputs["coefficients"]), inputs["first_block"], inputs["operation"]
    )
    request = Request("hello", steering, inputs["decoding"])
    return address(Setting(inputs["model"], inputs["engine"]), request, inputs["rendered"])


def made(
    key: str,
    text: str = "hello there",
    steering: Steering | None = None,
    decoding: Decoding | None = None,
) -> tuple[Addressed, Generation]:
    steering = steering or Steering(unit(0), np.ones(BLOCKS), 0)
    request = Request("a prompt", steering, decoding or Decoding(5))
    return Addressed(key, request, "<user>a prompt"), Generation(text, (3, 1, 2), "stop")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "steergauge.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store(path) as opened:
        yield opened


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """What another program reads in the database."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_equal_inputs_have_one_address() -> None:
    assert address_of() == address_of(vector=unit(0).copy(), coefficients=[0.0, 0.0, 2.0, 2.0])


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "another"},
        {"engine": "torch 2"},
        {"vector": unit(1)},
        {"vector": -unit(0)},
        {"vector": np.nextafter(unit(0), np.float32(2))},
        {"coefficients": [0.0, 0.0, 2.0, 2.5]},
        {"coefficients": [0.0, 0.0, 2.0, float(np.nextafter(2.0, 3.0))]},
        {"first_block": 1},
        {"operation": Operation.CLAMP},
        {"decoding": Decoding(11)},
        {"decoding": Decoding(10, Sampling(1.0))},
        {"rendered": "<user>hello "},
    ],
    ids="-".join,
)
def test_every_input_is_part_of_the_address(changed: dict[str, Any]) -> None:
    assert address_of(**changed) != address_of()


def test_greedy_decoding_is_addressed_as_before_there_was_sampling() -> None:
    assert json.dumps(Decoding(100).identity()) == (
        '{"strategy": "greedy", "repetition_penalty": 1.0, "max_new_tokens": 100}'
    )
    assert address_of() == "7f2fba6ec4119c94f22b1cc1ecf95121000b3cbdf8eea96594fe88edbcb55266"


def test_temperatures_seeds_and_samples_have_addresses_of_their_own() -> None:
    decodings = [Decoding(10)] + [
        Decoding(10, Sampling(temperature, seed, sample))
        for temperature in (0.5, 1.0)
        for seed in (0, 1)
        for sample in (0, 1)
    ]
    assert len({address_of(decoding=decoding) for decoding in decodings}) == 9
    assert address_of(decoding=Decoding(10, Sampling(1))) == address_of(decoding=Decoding(10, Sampling(1.0)))


def test_the_model_and_the_engine_are_not_mixed_up() -> None:
    assert address_of(model="torch 1", engine="fingerprint") != address_of()


@given(axis=st.integers(0, WIDTH - 1), first_block=st.integers(0, BLOCKS - 1))
def test_dose_0_of_any_direction_has_the_address_of_the_control(axis: int, first_block: int) -> None:
    request = Request("hello", unsteered(BLOCKS, WIDTH), Decoding(10))
    control = address(SETTING, request, "<user>hello")
    assert (
        address_of(vector=unit(axis), coefficients=np.zeros(BLOCKS), first_block=first_block)
        == address_of(vector=unit(axis), coefficients=-np.zeros(BLOCKS), first_block=first_block)
        == control
    )


def test_clamping_to_0_is_not_the_control() -> None:
    control = address_of(coefficients=np.zeros(BLOCKS))
    assert address_of(coefficients=np.zeros(BLOCKS), operation=Operation.CLAMP) != control


def test_what_was_added_is_found_again_also_by_a_store_opened_later(store: Store, path: Path) -> None:
    kept = dict([made("a"), made("b", "zwei\n\x00 and 🌊")])
    store.add(SETTING, list(kept.items()))
    expected = {addressed.key: generation for addressed, generation in kept.items()}
    assert store.get(["a", "b", "missing"]) == expected
    with Store(path) as again:
        assert again.get(["a", "b", "missing"]) == expected


def test_more_addresses_than_one_statement_takes_are_found(store: Store) -> None:
    keys = [f"{number:05d}" for number in range(2500)]
    store.add(SETTING, [made(key, key) for key in keys])
    found = store.get([*keys, "missing"])
    assert {key: generation.text for key, generation in found.items()} == {key: key for key in keys}


def test_a_generation_that_is_here_stays_as_it_is(store: Store) -> None:
    store.add(SETTING, [made("a", "the first")])
    store.add(SETTING, [made("a", "another"), made("b", "new")])
    assert store.added == 2
    found = store.get(["a", "b"])
    assert (found["a"].text, found["b"].text) == ("the first", "new")


class _Unwritable:
    """A generation that cannot be kept: reading its tokens fails."""

    text, finish = "text", "stop"

    @property
    def tokens(self) -> tuple[int, ...]:
        raise KeyboardInterrupt


def test_an_exception_in_the_middle_of_a_write_keeps_nothing_of_it(store: Store) -> None:
    store.add(SETTING, [made("before")])
    broken: Any = (made("b")[0], _Unwritable())
    with pytest.raises(KeyboardInterrupt):
        store.add(SETTING, [made("a"), broken, made("c")])
    assert store.added == 1
    assert set(store.get(["before", "a", "b", "c"])) == {"before"}
    store.add(SETTING, [made("a")])
    assert set(store.get(["before", "a", "b", "c"])) == {"before", "a"}


def test_the_bytes_of_every_vector_that_steered_are_kept_once(store: Store, path: Path) -> None:
    steerings = [Steering(unit(0), np.full(BLOCKS, dose), 0) for dose in (1.0, 2.0)]
    steerings += [Steering(unit(1), np.ones(BLOCKS), 0), unsteered(BLOCKS, WIDTH)]
    store.add(SETTING, [made(str(key), steering=one) for key, one in enumerate(steerings)])
    kept = dict(rows(path, "SELECT digest, float32 FROM vectors"))
    assert sorted(kept.values()) == sorted([unit(0).tobytes(), unit(1).tobytes()])
    for key, steering in rows(path, "SELECT key, steering FROM generations"):
        identity = json.loads(steering)
        if key == "3":
            assert identity == {"operation": "none"}
        else:
            assert kept[identity["vector"]] == steerings[int(key)].vector.tobytes()


def test_a_fingerprint_is_described(store: Store, path: Path) -> None:
    store.describe_model("fingerprint", {"name": "größe", "blocks": 4})
    store.describe_model("fingerprint", {"name": "größe", "blocks": 4})
    ((fingerprint, described),) = rows(path, "SELECT * FROM models")
    assert (fingerprint, json.loads(described)) == ("fingerprint", {"name": "größe", "blocks": 4})


def test_a_study_keeps_what_it_resolved_to_at_first(store: Store, path: Path) -> None:
    study = {"model": "m", "doses": [1.0, 2.0]}
    assert store.resolve_run(study, {"wave_rows": 8}) == {"wave_rows": 8}
    with Store(path) as again:
        assert again.resolve_run(dict(reversed(study.items())), {"wave_rows": 64}) == {"wave_rows": 8}
        assert again.resolve_run(study | {"doses": [1.0]}, {"wave_rows": 64}) == {"wave_rows": 64}


def test_labels_are_kept_and_can_be_made_again(store: Store) -> None:
    store.add(SETTING, [made("a", "I cannot help with that."), made("b", "Sure, here you are.")])
    texts = {key: generation.text for key, generation in store.get(["a", "b"]).items()}
    expected = {
        "a": Judgement(Label.REFUSAL, "i cannot", span=Span(0, 8)),
        "b": Judgement(Label.NORMAL, "no keyword"),
    }
    assert store.label(StudyJudge(), texts) == store.label(StudyJudge(), texts) == expected
    table = store.to_pandas()
    assert list(table["key"]) == ["a", "b"]
    assert list(table["label"]) == ["refusal", "normal"]
    assert list(table["evidence"]) == ["i cannot", "no keyword"]
    assert table["evidence_start"].to_list() == [0, pd.NA]
    assert table["evidence_end"].to_list() == [8, pd.NA]


def test_what_people_say_is_kept_as_they_gave_it_and_nothing_is_overwritten(store: Store, path: Path) -> None:
    store.add(SETTING, [made("a"), made("b")])
    given = [
        Rating("b", "anna", 1, Label.NORMAL, ""),
        Rating("a", "anna", 1, Label.REFUSAL, 'a "note",\nof two lines'),
        Rating("b", "ben", 1, Label.GARBLED, ""),
        Rating("b", "anna", 1, Label.GARBLED, "a changed mind"),
        Rating("b", "anna", 2, Label.NORMAL, ""),
    ]
    for rating in given:
        store.rate(rating)
    assert store.ratings() == given
    with Store(path) as again:
        assert again.ratings() == given


def test_every_generation_is_read_with_its_condition(store: Store) -> None:
    steerings = [Steering(unit(0), np.full(BLOCKS, dose), 0) for dose in (1.0, 2.0, 2.0)]
    store.add(SETTING, [made(str(key), f"text {key}", steering) for key, steering in enumerate(steerings)])
    kept = store.generations()
    assert {key: one[1:] for key, one in kept.items()} == {
        str(key): ("a prompt", f"text {key}", "stop") for key in range(3)
    }
    assert kept["0"].condition != kept["1"].condition == kept["2"].condition


def test_samples_of_a_prompt_have_one_condition_and_temperatures_have_their_own(store: Store) -> None:
    decodings = [Decoding(5, Sampling(0.7, seed, sample)) for seed in (0, 1) for sample in (0, 1)]
    others = [Decoding(5), Decoding(6), Decoding(5, Sampling(0.8)), Decoding(6, Sampling(0.7))]
    store.add(
        SETTING, [made(str(key), decoding=decoding) for key, decoding in enumerate([*decodings, *others])]
    )
    conditions = [store.generations()[str(key)].condition for key in range(8)]
    assert len(set(conditions[:4])) == 1
    assert len(set(conditions)) == 5
    assert conditions[4].endswith('{"max_new_tokens":5,"repetition_penalty":1.0,"strategy":"greedy"}')
    assert store.to_pandas().decoding.nunique() == 8


def test_a_store_of_version_1_is_brought_up_to_date_with_all_it_holds(path: Path) -> None:
    with Store(path) as store:
        store.add(SETTING, [made("a", "I cannot help with that.")])
        store.label(StudyJudge(), {"a": "I cannot help with that."})
        before = store.to_pandas()
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE ratings")  # what version 2 added
    connection.execute("ALTER TABLE labels DROP COLUMN evidence_start")  # what version 3 added
    connection.execute("ALTER TABLE labels DROP COLUMN evidence_end")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with Store(path) as store:
        places = ["evidence_start", "evidence_end"]
        assert store.to_pandas().drop(columns=places).equals(before.drop(columns=places))
        assert store.ratings() == []
        store.rate(Rating("a", "anna", 1, Label.REFUSAL, ""))
    assert rows(path, "PRAGMA user_version") == [(VERSION,)]
    with Store(path) as store:
        assert len(store.ratings()) == 1


def test_labels_of_a_store_of_version_2_have_no_place_until_they_are_made_again(path: Path) -> None:
    text = "🙂 I cannot help with that."
    with Store(path) as store:
        store.add(SETTING, [made("a", text), made("b", text)])
        before = store.label(GaugeJudge(), {"a": text, "b": text})
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE labels DROP COLUMN evidence_start")
    connection.execute("ALTER TABLE labels DROP COLUMN evidence_end")
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with Store(path) as store:
        table = store.to_pandas()
        assert list(table["label"]) == ["refusal", "refusal"]
        assert list(table["evidence"]) == [before["a"].evidence] * 2
        assert table[["evidence_start", "evidence_end"]].isna().all(axis=None)
        store.label(GaugeJudge(), {"b": text})
        table = store.to_pandas()
    words = "I cannot help"
    assert table["evidence_start"].to_list() == [pd.NA, text.index(words)]
    assert table["evidence_end"].to_list() == [pd.NA, text.index(words) + len(words)]
    assert rows(path, "PRAGMA user_version") == [(VERSION,)]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("out.csv", lambda path: pd.read_csv(path, keep_default_na=False)),
        ("out.parquet", pd.read_parquet),
        ("out.json", pd.read_json),
    ],
)
def test_an_exported_store_is_read_back_as_it_was(
    store: Store, tmp_path: Path, name: str, read: Callable[[Path], pd.DataFrame]
) -> None:
    texts = ['a "quoted", text\nof two lines', "NA", "null", "🚫 犯罪 </script>", "I'm sorry"]
    store.add(SETTING, [made(f"k{number}", text) for number, text in enumerate(texts)])
    store.label(StudyJudge(), {f"k{number}": text for number, text in enumerate(texts)})
    table = store.to_pandas()
    write_table(table, tmp_path / name)
    back = read(tmp_path / name)
    assert list(back.columns) == list(table.columns)
    for column in ("key", "model", "engine", "steering", "prompt", "text", "tokens", "finish", "label"):
        assert list(back[column]) == list(table[column])
    assert list(back["text"]) == texts


def test_an_empty_store_exports_an_empty_table_with_its_columns(store: Store) -> None:
    table = store.to_pandas()
    assert table.empty
    assert {"key", "prompt", "text", "label", "judge", "made"} <= set(table.columns)


def test_a_store_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    with Store(path) as store:
        store.add(SETTING, [made("a")])
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(SteergaugeError, match=f"version {VERSION + 1} .* reads up to {VERSION}: upgrade"):
        Store(path)
    assert rows(path, "PRAGMA user_version") == [(VERSION + 1,)]


def test_a_text_file_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("notes of mine, which are no database\n" * 50)
    before = path.read_bytes()
    with pytest.raises(SteergaugeError, match="is not a steergauge store") as refusal:
        Store(path)
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", [0, VERSION, VERSION + 6])
def test_a_database_of_another_program_is_refused_and_left_alone(path: Path, version: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SteergaugeError, match="a database of something else"):
        Store(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("where", [".", "missing/steergauge.db"])
def test_a_path_that_cannot_hold_a_store_is_one_line(tmp_path: Path, where: str) -> None:
    with pytest.raises(SteergaugeError, match="cannot be used: unable to open database file") as refusal:
        Store(tmp_path / where)
    assert "\n" not in str(refusal.value)


def test_a_damaged_store_is_one_line(path: Path) -> None:
    with Store(path) as store:
        store.add(SETTING, [made(str(key), "x" * 3000) for key in range(50)])
    with path.open("r+b") as file:
        file.seek(4096 * 8)
        file.write(b"\xff" * 4096 * 40)
    with Store(path) as store, pytest.raises(SteergaugeError, match="malformed") as refusal:
        store.to_pandas()
    assert "\n" not in str(refusal.value)


def test_a_full_disk_is_one_line_and_nothing_stored_before_is_lost(store: Store, path: Path) -> None:
    store.add(SETTING, [made("before", "kept")])
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(SteergaugeError, match="disk is full; free some room and run again") as refusal:
        store.add(SETTING, [made(f"big{number}", "x" * 3000) for number in range(20)])
    assert "\n" not in str(refusal.value)
    assert {key: one.text for key, one in store.get(["before", "big0", "big1"]).items()} == {"before": "kept"}
    store._database.execute("PRAGMA max_page_count = 1000000")
    store.add(SETTING, [made("after", "x" * 3000)])
    with Store(path) as again:
        assert set(again.get(["before", "big0", "after"])) == {"before", "after"}
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


# A limit on the size of files makes the commit itself fail, which a limit on pages cannot.
_FAILING_COMMIT = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_store import SETTING, made
from steergauge.errors import SteergaugeError
from steergauge.store import Store

with Store(Path(sys.argv[1])) as store:
    store.add(SETTING, [made("before")])
    size = Path(sys.argv[1] + "-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 8192, resource.RLIM_INFINITY))
    try:
        store.add(SETTING, [made(str(number), "x" * 3000) for number in range(20)])
    except SteergaugeError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(sorted(store.get(["before", "0", "19"])))
    store.add(SETTING, [made("after")])
    print(sorted(store.get(["before", "0", "19", "after"])))
"""


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_FSIZE)[1] != resource.RLIM_INFINITY, reason="files are limited here"
)
def test_a_write_that_fails_when_it_is_committed_leaves_a_store_that_works(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FAILING_COMMIT, str(path), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    complaint, during, after = done.stdout.splitlines()
    assert complaint.startswith(f"the store {path} ")
    assert (during, after) == ("['before']", "['after', 'before']")
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


_WRITER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_store import SETTING, made
from steergauge.judging.study import StudyJudge
from steergauge.store import Store

name, go = sys.argv[3], Path(sys.argv[4])
print("ready", flush=True)
while not go.exists():
    time.sleep(0.001)
with Store(Path(sys.argv[1])) as store:
    for start in range(0, 300, 3):
        shared = [made(f"shared{number}", f"by {name}") for number in range(start, start + 3)]
        own = [made(f"{name}{number}", f"by {name}") for number in range(start, start + 3)]
        store.add(SETTING, shared + own)
        store.label(StudyJudge(), {key.key: one.text for key, one in shared + own})
"""


def test_two_processes_that_make_and_fill_one_store_at_once_leave_it_whole(
    path: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    command = [sys.executable, "-c", _WRITER, str(path), str(Path(__file__).parent)]
    writers = [
        subprocess.Popen([*command, name, str(go)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    go.touch()
    for writer in writers:
        _, complaints = writer.communicate(timeout=120)
        assert (writer.returncode, complaints) == (0, "")
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    keys = [key for (key,) in rows(path, "SELECT key FROM generations")]
    assert len(keys) == len(set(keys)) == 900
    assert {key.rstrip("0123456789") for key in keys} == {"shared", "one", "two"}
    assert rows(path, "SELECT count(*) FROM labels") == [(900,)]
    assert rows(path, "SELECT count(*) FROM vectors") == [(1,)]
