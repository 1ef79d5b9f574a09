"""The command `study`, found through an entry point."""

from typing import Annotated

import typer

from flows.command_options import DEFAULT_ROOT, AsJson, Dispatch, PlanFile, Root, show


def study(
    plan_file: PlanFile,
    root: Root = DEFAULT_ROOT,
    dispatch: Annotated[
        Dispatch | None,
        typer.Option(help="Where cells run, in place of the plan's."),
    ] = None,
    only_estimate: Annotated[
        bool, typer.Option("--estimate", help="Say what is left to do, and do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare training data: train every arm from every seed, measure all alike, and report."""
    from flows.study_estimate import estimate
    from flows.study_files import load_study
    from flows.study_preparation import require_sources
    from flows.study_work import study_work

    plan = load_study(plan_file, [("dispatch", dispatch)] if dispatch else [])
    work = study_work(plan, root)
    require_sources(work)  # missing data ends here, before a server is started
    found = estimate(work)
    if only_estimate:
        show(found.as_dict(), found.as_text(), as_json)
        return
    typer.echo(found.as_text(), err=True)

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
