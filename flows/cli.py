"""The command `cxr-factory`. Errors are one clear line; exit status 0 only for success."""

import os
import signal
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from flows import corpus_commands, dataset_commands, training_commands
from flows.command_options import complain

app = typer.Typer(
    name="cxr-factory",
    help="Make, release and judge synthetic chest X-ray image-report pairs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

# For the server that a command starts for itself. By default Prefect commits every state of every
# task run on its own, 25 ms of CPU each, and SQLite answers "busy, again in 2 s" in between.
_RECORDER = "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER"
_PERSISTER = "PREFECT_SERVER_SERVICES_EVENT_PERSISTER"
PREFECT_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 are few on a busy machine
    f"{_RECORDER}_READ_BATCH_SIZE": "100",
    f"{_RECORDER}_BATCH_SIZE": "100",
    f"{_RECORDER}_FLUSH_INTERVAL": "1",
    f"{_PERSISTER}_READ_BATCH_SIZE": "100",
    f"{_PERSISTER}_BATCH_SIZE": "100",
    f"{_PERSISTER}_FLUSH_INTERVAL": "1",
}


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option(help="Show tracebacks and Prefect's own log.")] = False,
) -> None:
    os.environ["CXR_FACTORY_DEBUG"] = "1" if debug else ""
    if not debug:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)


for _own in (
    dataset_commands.demo,
    corpus_commands.ingest,
    dataset_commands.generate,
    dataset_commands.retry,
    dataset_commands.status,
    dataset_commands.release,
    dataset_commands.export,
    dataset_commands.make_again,
    training_commands.pretrain,
    training_commands.finetune,
    training_commands.evaluate,
    corpus_commands.audit,
    corpus_commands.calibrate,
    corpus_commands.doctor,
):
    app.command()(_own)

for _command in entry_points(group="cxr_factory.commands"):  # of rooms that this may not import
    app.command(_command.name)(_command.load())


_INTERRUPTED = 128 + signal.SIGINT  # what Typer makes of Ctrl-C amid a command


class _ToldToEnd(BaseException):
    """SIGTERM: an end as orderly as that of Ctrl-C."""


def _told_to_end(*_: object) -> None:
    raise _ToldToEnd


def _run(command: Callable[[], Any]) -> int:
    """Run the command; every error is one line on standard error and a status that is not 0."""
    try:
        result = command()
    except TyperException as error:
        complain(f"{error.format_message().rstrip('.')}; see cxr-factory --help")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        result = _INTERRUPTED
    except _ToldToEnd:
        complain("told to end; run the same command again to go on")
        return 128 + signal.SIGTERM
    except Exception as error:
        if os.environ.get("CXR_FACTORY_DEBUG"):
            raise
        complain(" ".join(str(error).split()) or type(error).__name__)
        return 1
    if result == _INTERRUPTED:
        complain("interrupted; run the same command again to go on")
    return result if isinstance(result, int) else 0


def main() -> None:
    """Entry point of the command."""
    signal.signal(signal.SIGTERM, _told_to_end)
    sys.exit(_run(lambda: app(standalone_mode=False)))
