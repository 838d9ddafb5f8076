"""The command line: options in, one call, a report out. Heavy imports wait until a command needs them."""

import sys
from typing import cast

import typer

from steergauge.cli.agreement import agreement
from steergauge.cli.audit import audit
from steergauge.cli.calibrate import calibrate
from steergauge.cli.direction import direction
from steergauge.cli.export import export
from steergauge.cli.gauge import gauge
from steergauge.cli.judges import judges
from steergauge.cli.label import label
from steergauge.cli.models import list_models, pull_model
from steergauge.cli.pairs import pairs
from steergauge.cli.parity import parity
from steergauge.cli.reproduce import reproduce
from steergauge.cli.stability import stability
from steergauge.cli.study import study
from steergauge.errors import SteergaugeError

app = typer.Typer(
    help="Measures how steerable a language model is, and how sure you can be.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="Lists the models known by name, or gets one.", rich_markup_mode=None)
app.add_typer(models_app, name="models")

# Every command, in the order in which `--help` lists them.
COMMANDS = (
    gauge,
    study,
    reproduce,
    pairs,
    stability,
    direction,
    parity,
    judges,
    label,
    agreement,
    audit,
    calibrate,
    export,
)
for command in COMMANDS:
    app.command()(command)
models_app.callback(invoke_without_command=True)(list_models)
models_app.command("pull")(pull_model)

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
        print("stopped; what was made is kept, run again to go on", file=sys.stderr)
    raise SystemExit(code)


def _failure(message: str) -> SystemExit:
    from rich.console import Console
    from rich.markup import escape

    line = " ".join(message.splitlines())
    Console(stderr=True, soft_wrap=True).print(f"[red]error:[/red] {escape(line)}", highlight=False)
    return SystemExit(2)


@app.callback()
def _start() -> None:
    import logging

    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_time=False, show_level=False, show_path=False)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s")
    logging.getLogger("steergauge").setLevel(logging.INFO)
    # Where torchao is installed transformers imports it, and it tells of the CUDA libraries that it does without.
    for imported in ("torchao", "torch.utils._pytree"):
        logging.getLogger(imported).setLevel(logging.ERROR)
