"""The command `study`, found through an entry point."""

from typing import TYPE_CHECKING, Annotated

import typer

from flows.command_options import DEFAULT_ROOT, AsJson, Dispatch, PlanFile, Root, show

if TYPE_CHECKING:
    from flows.study_work import StudyWork


def study(
    plan_file: PlanFile,
    root: Root = DEFAULT_ROOT,
    dispatch: Annotated[
        Dispatch | None,
        typer.Option(help="Where cells run, in place of the plan's."),
    ] = None,
    only_estimate: Annotated[
        bool,
        typer.Option(
            "--estimate",
            help="Say what is left to do and what it costs; needs no data, does nothing.",
        ),
    ] = False,
    flops_per_second: Annotated[
        float | None,
        typer.Option(help="With --estimate: what one device achieves; adds hours to the table."),
    ] = None,
    price_per_hour: Annotated[
        float | None, typer.Option(help="With --flops-per-second: of the device; adds its price.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare training data: train every arm from every seed, measure all alike, and report."""
    from flows.study_estimate import estimate
    from flows.study_files import load_study
    from flows.study_preparation import require_sources
    from flows.study_work import study_work

    plan = load_study(plan_file, [("dispatch", dispatch)] if dispatch else [])
    work = study_work(plan, root)
    if only_estimate:
        _show_estimate(work, flops_per_second, price_per_hour, as_json)
        return
    if (flops_per_second, price_per_hour) != (None, None):
        raise ValueError("--flops-per-second and --price-per-hour go with --estimate; add it")
    require_sources(work)  # missing data ends here, before a server is started
    typer.echo(estimate(work).as_text(), err=True)

    from flows.pools import require_server
    from flows.progress import study_bar
    from flows.study import study as study_flow

    require_server(plan.execution)
    with study_bar(lambda: estimate(work)):
        outcome = study_flow(plan, root)
    show(outcome.as_dict(), outcome.as_text(), as_json)
    if outcome.failed:
        typer.echo(
            f"cxr-factory: {len(outcome.failed)} of {outcome.num_cells} cells failed; run the same "
            "command again to try them again",
            err=True,
        )
        raise typer.Exit(1)


def _show_estimate(
    work: "StudyWork", flops_per_second: float | None, price_per_hour: float | None, as_json: bool
) -> None:
    """What is left, whether or not its data is here."""
    from flows.operations_table import named_rates, operations_dict, operations_text
    from flows.study_estimate import estimate
    from flows.study_operations import study_operations

    rates = named_rates(flops_per_second, price_per_hour)
    found, operations = estimate(work), study_operations(work)
    text = f"{found.as_text()}\n{operations_text(operations, rates)}"
    show(found.as_dict() | {"operations": operations_dict(operations, rates)}, text, as_json)
