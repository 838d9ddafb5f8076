"""The command line: results on stdout, chatter on stderr, and each mistake one line with exit code 2."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pandas as pd
import pytest
import torch

from commands import Outcome, Run, mistake, only_mistake
from steergauge.cli.gauge import Unit
from steergauge.models.catalog import catalog
from steergauge.models.phantom import Phantom
from steergauge.steering.dose import DoseUnit
from steergauge.steering.engine import Generation, Request
from steergauge.steering.torch_engine import TorchEngine
from steergauge.store import Store
from steergauge.studies.result import GaugeResult

SMALL = ("--depths", "0.5", "--doses", "3", "--max-new-tokens", "12", "--precision", "float32")


def test_an_unknown_model_is_told_with_the_near_names(run: Run) -> None:
    line = only_mistake(run("gauge", "qwen2.5-coder-05b"))
    assert "unknown model 'qwen2.5-coder-05b'" in line
    assert "did you mean qwen2.5-coder-0.5b" in line
    assert "smollm2-135m" in only_mistake(run("models", "pull", "smolm2-135m"))


def test_a_model_folder_that_is_not_there_is_told(run: Run, tmp_path: Path) -> None:
    assert str(tmp_path / "nothing") in only_mistake(run("gauge", "./nothing"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--depths", "1.5"], "a depth is a fraction from 0 to below 1, not 1.5"),
        (["--depths", "0.5,0.5"], "depths has a repeat"),
        (["--depths", "half"], "--depths takes numbers with commas between, such as 0.5,1,2; not 'half'"),
        (["--doses", "1;2"], "--doses takes numbers"),
        (["--doses", "1,1"], "doses has a repeat"),
        (["--doses", "0,1"], "other than 0"),
        (["--doses", ""], "--doses takes numbers"),
        (["--unit", "clamp"], "the unit clamp needs doses"),
        (["--unit", "furlongs"], "'raw', 'relative', 'separation', 'clamp'"),
        (["--operation", "affine"], "the operation affine takes doses in separation, not in raw"),
        (["--operation", "clamp"], "the operation clamp takes doses in clamp, not in raw"),
        (["--operation", "ablate"], "ablation takes the whole component away"),
        (["--blocks", "two"], "'onward', 'one'"),
        (["--positions", "first"], "'all', 'after_instruction', 'last', 'generated'"),
        (["--method", "dimm"], "no extraction method 'dimm'; did you mean dim"),
        (["--method", "dim,dim"], "methods has a repeat"),
        (["--method", "dim,cosmos"], "no extraction method 'cosmos'"),
        (["--judge", "studie"], "no judge 'studie': did you mean study"),
        (["--threshold", "60"], "threshold: "),
        (["--max-new-tokens", "0"], "max_new_tokens: "),
        (["--random-directions", "0"], "random_directions: "),
        (["--batch", "0"], "wave_rows: "),
        (["--batch", "many"], "'--batch'"),
        (["--dose", "1"], "--dose"),
        (["--contrast", "missing.toml"], "cannot read the prompt file missing.toml: No such file"),
        (["--prompts", "missing.toml"], "cannot read the prompt file missing.toml: No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_told_before_the_model_is_looked_for(
    run: Run, tmp_path: Path, options: list[str], words: str
) -> None:
    line = only_mistake(run("gauge", "no-such-model", *options))
    assert words in line
    assert not (tmp_path / "steergauge.db").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--precision", "bfloat61"], "no precision 'bfloat61'; did you mean bfloat16"),
        (["--precision", "nf4-bitandbytes"], "no precision 'nf4-bitandbytes'; did you mean nf4-bitsandbytes"),
        (["--device", "cdua"], "no device 'cdua'; did you mean cuda"),
        (["--device", "cuda:7"], "the device 'cuda:7' is not on this machine; use --device cpu"),
        (["--template", "missing.jinja"], "cannot read the template missing.jinja"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_precision_device_or_template_that_is_not_there_is_told(
    run: Run, phantom: Phantom, options: list[str], words: str
) -> None:
    if "cuda:7" in options and torch.cuda.is_available():
        pytest.skip("there may be a cuda:7 here")
    assert words in mistake(run("gauge", phantom.folder, *options))


@pytest.mark.parametrize("arguments", [["gauge"], ["gaug"], ["export", "only-one"], ["--nonsense"]])
def test_a_wrong_call_is_one_line_that_says_where_help_is(run: Run, arguments: list[str]) -> None:
    assert "--help" in only_mistake(run(*arguments))


def test_no_command_at_all_is_the_help(run: Run) -> None:
    outcome = run()
    assert "Commands:" in outcome.out + outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('only system messages') }}", "cannot render the role 'user'"),
        ("{% for message in messages %}hello{% endfor %}", "does not render the message of the role 'user'"),
        ("{% if %}", "cannot render"),
    ],
)
def test_a_template_without_the_role_is_told(
    run: Run, phantom: Phantom, tmp_path: Path, template: str, words: str
) -> None:
    (tmp_path / "chat.jinja").write_text(template)
    line = mistake(run("gauge", phantom.folder, "--template", "chat.jinja"))
    assert words in line
    assert "--template" in line


def test_a_repeated_prompt_is_told_with_the_reason(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\nprompts = [{ text = "a" }, { text = "a" }]\n')
    line = only_mistake(run("gauge", "no-such-model", "--prompts", "mine.toml"))
    assert "'a' stands 2 times" in line
    assert "one observation" in line


@pytest.mark.parametrize(
    ("option", "toml", "key", "number"),
    [
        (
            "--contrast",
            'name = "mine"\n\npositive = ["a"]\nnegative = ["b"]\nharmful = ["c"]\n',
            "harmful",
            5,
        ),
        ("--contrast", 'name = "mine"\npositive = "a"\nnegative = ["b"]\n', "positive", 2),
        (
            "--contrast",
            'name = "m"\npositive = [\n  "a",\n  "b",\n  5,\n]\nnegative = ["c"]',
            "positive.2",
            5,
        ),
        (
            "--contrast",
            'name = "m"\nnegative = [\n  "a",\n]\npositive = [\n  """\n\n""",\n]',
            "positive.0",
            6,
        ),
        ("--prompts", 'name = "m"\n# texts\n[[prompts]]\ntext = "a"\ntone = "b"\n', "prompts.0.tone", 5),
        ("--prompts", 'name = "m"\n[[prompts]]\ntext = "a"\n\n[[prompts]]\ntxt = "b"', "prompts.1.text", 5),
        ("--prompts", 'name = "m"\nprompts = [\n  { text = "a" },\n  { text = "" },\n]', "prompts.1.text", 4),
        ("--prompts", 'name = 7\nprompts = [{ text = "a" }]', "name", 1),
    ],
)
def test_a_bad_key_of_a_prompt_file_is_told_with_its_line(
    run: Run, option: str, toml: str, key: str, number: int
) -> None:
    Path("mine.toml").write_text(toml)
    line = only_mistake(run("gauge", "no-such-model", option, "mine.toml"))
    assert line.startswith(f"error: mine.toml, {key}: ")
    assert line.endswith(f"(line {number})")


def test_a_missing_key_of_a_prompt_file_has_no_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\npositive = ["a"]\n')
    line = only_mistake(run("gauge", "no-such-model", "--contrast", "mine.toml"))
    assert "negative: Field required" in line
    assert "(line" not in line


def test_a_bad_key_of_a_long_prompt_file_is_found_soon(run: Run, tmp_path: Path) -> None:
    texts = "".join(f'  {{ text = "prompt {number}" }},\n' for number in range(2000))
    bad = texts.replace('text = "prompt 1500"', 'txt = "prompt 1500"')
    (tmp_path / "mine.toml").write_text(f'name = "mine"\nprompts = [\n{bad}]\n')
    line = only_mistake(run("gauge", "no-such-model", "--prompts", "mine.toml"))
    assert line.endswith("(line 1503)")


def test_prompts_that_are_not_toml_are_told_with_the_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\npositive = [unquoted]\n')
    line = only_mistake(run("gauge", "no-such-model", "--contrast", "mine.toml"))
    assert "line 2" in line


def test_a_store_of_a_newer_version_is_told(run: Run, tmp_path: Path) -> None:
    with Store(tmp_path / "steergauge.db"):
        pass
    connection = sqlite3.connect(tmp_path / "steergauge.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert "is a store of version 99" in only_mistake(run("gauge", "no-such-model"))
    assert "upgrade steergauge" in only_mistake(run("export", "steergauge.db", "out.csv"))


def test_a_file_that_is_no_store_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("my notes\n" * 100)
    line = only_mistake(run("gauge", "no-such-model", "--store", "notes.txt"))
    assert "notes.txt is not a steergauge store" in line
    assert "there is no store missing.db" in only_mistake(run("export", "missing.db", "out.csv"))


def test_a_place_that_cannot_be_written_to_is_told_and_nothing_is_lost(
    run: Run, phantom: Phantom, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    line = mistake_after_results(run("gauge", phantom.folder, *SMALL, "--html", "file/report.html"))
    assert "cannot write file/report.html: " in line
    with Store(tmp_path / "steergauge.db") as store:
        assert len(store.to_pandas()) == 160


def mistake_after_results(outcome: Outcome) -> str:
    assert "steerable" in outcome.out
    return mistake(outcome._replace(out=""))


def test_no_room_on_the_disk_is_told_and_what_was_made_is_kept(
    run: Run, phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Store.__init__

    def small(self: Store, path: Path) -> None:
        opened(self, path)
        self._database.execute("PRAGMA max_page_count = 32")

    with monkeypatch.context() as smaller:
        smaller.setattr(Store, "__init__", small)
        line = mistake(run("gauge", phantom.folder, *SMALL, "--batch", "10"))
    assert "steergauge.db cannot grow, the disk is full; free some room and run again" in line
    with Store(tmp_path / "steergauge.db") as store:
        kept = len(store.to_pandas())
    assert kept > 0
    assert kept % 10 == 0
    assert run("gauge", phantom.folder, *SMALL, "--batch", "10").code == 0


def failing(monkeypatch: pytest.MonkeyPatch, error: Callable[[], BaseException], after_rows: int) -> None:
    """Makes the engine fail once it has made so many rows of the sweep, in batches and single."""
    decode, made = TorchEngine._decode, [0]

    def limited(self: TorchEngine, requests: Sequence[Request]) -> Iterator[tuple[int, Generation]]:
        if made[0] >= after_rows:
            raise error()
        made[0] += len(requests) * (len(requests) > 1)
        return decode(self, requests)

    monkeypatch.setattr(TorchEngine, "_decode", limited)


def test_out_of_memory_is_told_with_the_largest_batch_that_fit(
    run: Run, phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, lambda: torch.OutOfMemoryError("CUDA out of memory."), after_rows=16)
    line = mistake(run("gauge", phantom.folder, *SMALL, "--batch", "8"))
    assert "out of memory with one row" in line
    assert "the largest batch that fit had 8 rows" in line
    with Store(tmp_path / "steergauge.db") as store:
        assert len(store.to_pandas()) == 16


def test_ctrl_c_exits_with_130_and_keeps_what_was_made(
    run: Run, phantom: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as interrupted:
        failing(interrupted, KeyboardInterrupt, after_rows=24)
        outcome = run("gauge", phantom.folder, *SMALL, "--batch", "8")
    assert (outcome.code, outcome.out) == (130, "")
    assert "stopped; what was made is kept, run again to go on" in outcome.err
    assert "Traceback" not in outcome.err
    with Store(tmp_path / "steergauge.db") as store:
        kept = set(store.to_pandas()["key"])
    assert len(kept) == 24
    assert run("gauge", phantom.folder, *SMALL, "--batch", "8").code == 0
    with Store(tmp_path / "steergauge.db") as store:
        assert kept < set(store.to_pandas()["key"])


def test_the_models_that_are_known_are_all_listed(run: Run) -> None:
    outcome = run("models")
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["name", *catalog()]


def test_the_units_of_the_command_line_are_those_of_doses() -> None:
    assert [unit.value for unit in Unit] == [unit.value for unit in DoseUnit if unit is not DoseUnit.SIGMA]


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.json"])
def test_a_store_is_exported(run: Run, phantom: Phantom, tmp_path: Path, name: str) -> None:
    assert run("gauge", phantom.folder, *SMALL, "--random-directions", "1").code == 0
    outcome = run("export", "steergauge.db", name)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"written: {tmp_path / name}\n", "")
    read: dict[str, Callable[..., pd.DataFrame]] = {
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
        ".json": pd.read_json,
    }
    table = read[Path(name).suffix](tmp_path / name)
    assert len(table) == 30 + 10 + 30 + 30
    assert set(table["label"]) == {"normal", "refusal"}


def test_an_export_to_an_unknown_format_is_told(run: Run, tmp_path: Path) -> None:
    with Store(tmp_path / "steergauge.db"):
        pass
    line = only_mistake(run("export", "steergauge.db", "out.xlsx"))
    assert "cannot tell the format of out.xlsx: give a name that ends with .csv or .parquet or .json" in line


def test_calibration_passes_and_says_so_on_stdout(run: Run) -> None:
    outcome = run("calibrate", "--device", "cpu")
    assert outcome.code == 0
    assert len(re.findall(r"^pass  ", outcome.out, re.MULTILINE)) == 8
    assert "FAIL" not in outcome.out


def test_a_calibration_that_fails_is_told_with_exit_code_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from steergauge.studies import calibrate

    monkeypatch.setattr(calibrate, "COSINE", 1.1)
    outcome = run("calibrate", "--device", "cpu")
    assert re.search(r"^FAIL  the extracted direction is the planted one$", outcome.out, re.MULTILINE)
    assert "its verdicts cannot be trusted" in mistake(outcome._replace(out=""))


@pytest.mark.parametrize("arguments", [["--help"], ["gauge", "--help"], ["models", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from steergauge import cli\n"
        "try: cli.main()\n"
        "finally: print({'torch', 'transformers', 'pandas', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: ")
    assert done.stderr.strip() == "set()"


def test_help_imports_nothing_but_what_reads_the_command_line() -> None:
    code = (
        "import sys; from steergauge import cli\n"
        "try: cli.main()\n"
        "finally: print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: ")
    names = {name for name in done.stderr.split() if not name.startswith("_")}  # what starts Python itself
    installed = names & set(packages_distributions())
    # typer, and what it can't do without.
    assert installed <= {"steergauge", "typer", "annotated_doc", "shellingham"}


@pytest.fixture(scope="module")
def process(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """One gauge in a process of its own, with every file that it can write."""
    folder = tmp_path_factory.mktemp("process")
    script = Path(sys.executable).with_name("steergauge")
    files = ("--html", "r.html", "--json", "r.json", "--csv", "r.csv", "--parquet", "r.parquet")
    done = subprocess.run(
        [script, "gauge", str(phantom.folder), *SMALL, *files],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return folder, Outcome(done.returncode, done.stdout, done.stderr)


def test_a_gauge_prints_its_result_on_stdout_and_the_rest_on_stderr(process: tuple[Path, Outcome]) -> None:
    folder, outcome = process
    assert outcome.code == 0, outcome.err
    assert "steerable" in outcome.out
    assert "coherent refusal / garbled" in outcome.out
    written = [line for line in outcome.out.splitlines() if line.startswith("written: ")]
    assert written == [f"written: {folder / name}" for name in ("r.html", "r.json", "r.csv", "r.parquet")]
    for chatter in ("loading ", " rows, ", "generations were made now"):
        assert chatter not in outcome.out
        assert chatter in outcome.err
    assert "steerable" not in outcome.err
    assert "Traceback" not in outcome.err


def test_the_files_of_a_gauge_agree_with_each_other(process: tuple[Path, Outcome]) -> None:
    folder, _ = process
    result = GaugeResult.model_validate_json((folder / "r.json").read_text(encoding="utf-8"))
    assert result.verdict.verdict == "steerable"
    assert json.loads((folder / "r.json").read_text(encoding="utf-8"))["schema"] == "steergauge.gauge/1"
    table = pd.read_csv(folder / "r.csv", keep_default_na=False)
    assert len(table) == result.provenance.generations == 30 * 5
    whole = pd.read_parquet(folder / "r.parquet")
    assert list(whole["key"]) == list(table["key"])
    assert list(whole["text"]) == list(table["text"])
    refused = (table["condition"] == "dim-block3-raw3") & (table["label"] == "refusal")
    assert refused.sum() == result.conditions[0].refusal.count == 30
    page = (folder / "r.html").read_text(encoding="utf-8")
    assert result.model.fingerprint in page
    assert sorted(path.name for path in folder.iterdir()) == [
        "r.csv",
        "r.html",
        "r.json",
        "r.parquet",
        "steergauge.db",
    ]


def test_a_mistake_in_a_process_of_its_own_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("steergauge")
    done = subprocess.run(
        [script, "gauge", "gemma-3-270", "--device", "cpu"],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    line = only_mistake(Outcome(done.returncode, done.stdout, done.stderr))
    assert "did you mean gemma-3-270m" in line


@pytest.mark.parametrize("precision", ["int8-bitsandbytes/float32", "gguf-q8_0/float32"])
def test_a_quantized_model_is_measured_and_told(
    run: Run, phantom: Phantom, tmp_path: Path, precision: str
) -> None:
    outcome = run(
        "gauge", phantom.folder, *SMALL, "--precision", precision, "--json", "r.json", "--html", "q.html"
    )
    assert outcome.code == 0
    name = precision.partition("/")[0]
    assert f"blocks are quantised to {name}" in " ".join(outcome.out.split())
    result = GaugeResult.model_validate_json((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert result.model.quantized_to is not None
    assert result.model.quantized_to.name == name
    assert result.unsteered.refusal.count == 0
    assert result.conditions[0].refusal.count == 30  # as in full: 8 bits take little from the phantom
    assert result.model.quantized_to.in_words in (tmp_path / "q.html").read_text(encoding="utf-8")
