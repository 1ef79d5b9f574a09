"""The same as JSON, for programs. OpenAPI is at `/api/openapi.json`."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from browser.asking import After, Name, Number, SampleId, TableName, ask, library_of, open_asked
from browser.catalogue import (
    DatasetSummary,
    ReleaseComparison,
    ReleaseSummary,
    compare_releases,
    dataset_summary,
    list_datasets,
    list_releases,
)
from browser.corpora import CorpusSummary, list_corpora
from browser.grid import PAGE_SIZE, CardPage, Counted, card_page, counted
from browser.problems import ProblemText
from browser.rendering import NOTICE
from browser.sample_page import SampleDetail, sample_detail

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": ProblemText} for code in (400, 401, 403, 404, 410, 500, 503)
}
router = APIRouter(prefix="/api", responses=_PROBLEMS)
_MAX_SIZE, _MAX_VALUES = 500, 20_000
_FILTERS = (
    "Beside the parameters listed, the query takes filters as the pages' addresses have them: "
    "`FACET=VALUE` (of /counts, repeatable), `q=WORDS`, `sort=index`, `sort=MEASURE`, "
    "`sort=-MEASURE`, `min:MEASURE=NUMBER`, `max:MEASURE=NUMBER`."
)


@dataclass(frozen=True, slots=True)
class About:
    """What this is."""

    notice: str
    root: str


@router.get("", summary="What this serves")
def about(request: Request) -> About:
    """The root, and what must be said of every image under it."""
    return About(NOTICE, library_of(request).store.root)


@router.get("/datasets", summary="Every dataset")
def datasets(request: Request) -> list[DatasetSummary]:
    """Counts, acceptance and size of every dataset under the root."""
    return list_datasets(library_of(request))


@router.get("/corpora", summary="Every corpus")
def corpora(request: Request) -> list[CorpusSummary]:
    """Every corpus of real data, without a word of it."""
    return list_corpora(library_of(request))


@router.get("/datasets/{name}", summary="One dataset")
def dataset(request: Request, name: Name) -> DatasetSummary:
    """A dataset as its newest release has it."""
    library = library_of(request)
    library.layout(name)
    return dataset_summary(library, name)


@router.get("/datasets/{name}/releases", summary="Its releases")
def releases(request: Request, name: Name) -> list[ReleaseSummary]:
    """The releases of a dataset, newest first."""
    return list_releases(library_of(request), name)


@router.get("/datasets/{name}/changes", summary="What changed between two releases")
def changes(request: Request, name: Name, before: int, after: int) -> ReleaseComparison:
    """Rows of tables, and pairs that state a finding, before and after."""
    return compare_releases(library_of(request), name, before, after)


@router.get("/datasets/{name}/releases/{number}/{table}", summary="Samples", description=_FILTERS)
def samples(
    request: Request,
    name: Name,
    number: Number,
    table: TableName,
    after: After = None,
    size: Annotated[int, Query(ge=1, le=_MAX_SIZE, description="At most so many.")] = PAGE_SIZE,
) -> CardPage:
    """Some samples of a table, in order."""
    asked = ask(request, name, number, table, passed_over=("size",))
    return card_page(asked.opened, asked.filters, after, size)


@router.get(
    "/datasets/{name}/releases/{number}/{table}/counts", summary="Counts", description=_FILTERS
)
def counts(
    request: Request,
    name: Name,
    number: Number,
    table: TableName,
    most: Annotated[int, Query(ge=1, le=_MAX_VALUES, description="Values of each facet.")] = 100,
) -> Counted:
    """Values of every facet with their rows, and the bounds of every score."""
    asked = ask(request, name, number, table, passed_over=("most",))
    return counted(asked.opened, asked.filters, most)


@router.get("/datasets/{name}/releases/{number}/{table}/{sample_id}", summary="One sample")
def sample(
    request: Request, name: Name, number: Number, table: TableName, sample_id: SampleId
) -> SampleDetail:
    """All that a release has of one sample; its pictures are at the page's addresses."""
    opened = open_asked(request, name, number, table)
    return sample_detail(library_of(request), opened, sample_id)
