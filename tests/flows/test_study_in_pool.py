"""Cells of a study as runs of their own in a work pool, by a real server and worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flows.study_cells import study_cell
from tests.flows.fleet import POOL, Fleet, prefect_server, process_worker
from tests.flows.test_study import study_settings


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with prefect_server(tmp_path_factory.mktemp("fleet")) as fleet:
        fleet.deploy()
        with process_worker(fleet):
            yield fleet


@pytest.mark.server
@pytest.mark.timeout(900)
def test_study_in_a_pool_runs_each_cell_once_and_reports_the_one_that_fails(fleet: Fleet) -> None:
    settings = study_settings(name="pooled", seeds=[0])
    good = settings["algorithms"][0]
    bad = {"name": "bad", "model": good["model"] | {"objective": {"kind": "convirt"}}}
    bad["model"]["objective"]["temperature"] = 1e-44
    settings |= {"algorithms": [good, bad], "arms": settings["arms"][:1]}
    plan, root = fleet.folder / "study.yaml", fleet.folder / "root"
    plan.write_text(yaml.safe_dump(settings))
    process = fleet.command(
        "study", str(plan), "--root", str(root), "--dispatch", "work-pool", "--json"
    )
    said, complaint = process.communicate(timeout=800)
    assert process.returncode == 1, complaint
    assert "1 of 2 cells failed" in complaint
    assert '"all-bad-s0": "the loss must stay finite' in said
    runs = fleet.runs(study_cell.name)
    assert sorted(run.name for run in runs) == [
        "cell of pooled: all, bad, seed 0",
        "cell of pooled: all, convirt, seed 0",
    ], "a cell that says why it failed is not run again at once"
    assert {run.work_pool_name for run in runs} == {POOL}
    assert (Path(root) / "studies/pooled/report.html").is_file()
