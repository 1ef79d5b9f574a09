"""The routes of blind studies: draw one, read it an image at a time, and see what was told apart.

Nothing that is sent before a reader has answered every item says which is real: ids are random,
pictures have one size, and so have the files that carry them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as field_of
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from browser.asking import library_of
from browser.corpora import list_corpora
from browser.library import Library
from browser.problems import Problem, not_found
from browser.rendering import render
from browser.review_forms import (
    Dataset,
    Form,
    Posted,
    desk_there,
    field,
    require_named,
    reviewer_of,
)
from storage.blind_records import BlindStudy, BlindStudyPlan
from storage.blind_results import StudyResults, blind_answers, study_results, unanswered
from storage.blind_study import create_study, item_image, read_study, study_names
from storage.errors import ObjectMissing, PlanMismatch
from storage.layout import DatasetLayout
from storage.review_records import Review, ReviewDecision, Study

router = APIRouter(prefix="/review/{dataset}/studies", include_in_schema=False)
StudyName = Annotated[str, Path(description="Name of the study.")]
_ANSWERS = {"real": ReviewDecision.REAL, "synthetic": ReviewDecision.SYNTHETIC}
_NOT_KEPT = {"Cache-Control": "no-store"}  # a picture is looked at once
_PLAN_FIELDS = ("corpus", "split", "num_each", "image_size_px", "seed")


@dataclass(frozen=True, slots=True)
class StudyLine:
    """A study as the list shows it.

    Attributes:
        num_left: That the visitor has still to answer; all where nobody said a name.
        readers: By name, to how many items they answered.
        problem: Why it is not shown; empty where it is.
    """

    name: str
    num_items: int = 0
    num_left: int = 0
    readers: Mapping[str, int] = field_of(default_factory=dict)
    problem: str = ""


@router.get("")
def studies(request: Request, dataset: Dataset) -> Response:
    """Every study of a dataset, and a form to draw one."""
    library = library_of(request)
    release = library.newest(dataset)
    names = study_names(library.store, DatasetLayout(dataset))
    return render(
        request,
        "studies.html",
        dataset=dataset,
        release=release.number,
        lines=[_line(request, library, dataset, name) for name in names],
        corpora=[one.name for one in list_corpora(library) if "images" in one.holds],
        plan=BlindStudyPlan.model_fields,
    )


@router.post("")
def draw(request: Request, dataset: Dataset, form: Posted) -> Response:
    """Draw a study from the newest release and a corpus; the same again finds the one that is."""
    library, name = library_of(request), field(form, "name")
    library.newest(dataset)  # refuses what may not be shown
    plan = _plan(form)
    library.require_corpus(plan.corpus)
    try:
        create_study(library.store, DatasetLayout(dataset), name, plan)
    except PlanMismatch as error:
        raise Problem(HTTPStatus.CONFLICT, str(error), "Go back, and name it otherwise.") from error
    return RedirectResponse(_address(dataset, name), HTTPStatus.SEE_OTHER)


@router.get("/{study}")
def read(request: Request, dataset: Dataset, study: StudyName) -> Response:
    """The next image to answer; the results once there is none."""
    found, reader = _study(request, dataset, study), reviewer_of(request)
    address = _address(dataset, study)
    if not reader:
        name_page = f"/review/name?next={quote(address, safe='')}"
        return RedirectResponse(name_page, HTTPStatus.SEE_OTHER)
    left = unanswered(found, reader, _reviews(request, dataset))
    if not left:
        return RedirectResponse(f"{address}/results", HTTPStatus.SEE_OTHER)
    return render(
        request,
        "blind.html",
        dataset=dataset,
        study=found,
        reader=reader,
        item=left[0],
        number=len(found.items) - len(left) + 1,
        address=address,
    )


@router.post("/{study}/answers")
def answer(request: Request, dataset: Dataset, study: StudyName, form: Posted) -> Response:
    """Take a reader's answer; the first one on an item counts, and only that is kept."""
    found, reader = _study(request, dataset, study), require_named(request)
    words, item = field(form, "answer"), field(form, "item")
    if words not in _ANSWERS:
        raise ValueError(f"expected an answer ({', '.join(_ANSWERS)}), got {words[:40]!r}")
    _require_item(found, item)
    if item in unanswered(found, reader, _reviews(request, dataset)):
        release = library_of(request).release(dataset, found.release)
        desk_there(request).add(release, [_review(found, reader, item, _ANSWERS[words])])
    return RedirectResponse(_address(dataset, study), HTTPStatus.SEE_OTHER)


@router.get("/{study}/results")
def results(request: Request, dataset: Dataset, study: StudyName) -> Response:
    """What readers told apart, for those who have answered every item."""
    found, reader = _study(request, dataset, study), reviewer_of(request)
    known = study_results(found, _reviews(request, dataset))
    return render(
        request,
        "blind_results.html",
        dataset=dataset,
        study=found,
        address=_address(dataset, study),
        has_finished=reader in known.readers,
        results=known,
        groups=_groups(known) if reader in known.readers else {},
    )


@router.get("/{study}/{item}.png")
def picture(request: Request, dataset: Dataset, study: StudyName, item: str) -> Response:
    """One image as readers see it."""
    found = _study(request, dataset, study)
    _require_item(found, item)
    data = item_image(library_of(request).store, found, item)
    return Response(data, media_type="image/png", headers=_NOT_KEPT)


def _study(request: Request, dataset: str, name: str) -> BlindStudy:
    """A study that may be shown."""
    library = library_of(request)
    try:
        found = read_study(library.store, library.layout(dataset), name)
    except (ObjectMissing, ValueError) as error:
        raise not_found(
            f"{dataset!r} has no blind study {name[:100]!r}.", "See those it has."
        ) from error
    library.require(dataset, restricted=found.restricted)
    return found


def _require_item(study: BlindStudy, item: str) -> None:
    if item not in {one.item_id for one in study.items}:
        raise not_found(f"The study has no image {item[:64]!r}.", "Go back to the study.")


def _reviews(request: Request, dataset: str) -> Sequence[Review]:
    return desk_there(request).decisions(dataset).reviews


def _review(study: BlindStudy, reader: str, item: str, decision: ReviewDecision) -> Review:
    """An answer; its id follows from reader and item, so that two at once are one."""
    return Review(
        decision_id=hashlib.sha256(f"{item}:{reader}".encode()).hexdigest(),
        sample_id=item,
        reviewer=reader,
        decision=decision,
        reason=None,
        remark="",
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        release=study.release,
        study=Study.BLIND,
    )


def _plan(form: Form) -> BlindStudyPlan:
    given = {name: field(form, name) for name in _PLAN_FIELDS if field(form, name)}
    try:
        return BlindStudyPlan.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}, got {first['input']!r}") from error


def _line(request: Request, library: Library, dataset: str, name: str) -> StudyLine:
    found = read_study(library.store, DatasetLayout(dataset), name)
    if not library.settings.may_show(dataset, restricted=found.restricted):
        return StudyLine(name, problem="Shows restricted data: not shown beyond this machine.")
    reviews = _reviews(request, dataset)
    return StudyLine(
        name=name,
        num_items=len(found.items),
        num_left=len(unanswered(found, reviewer_of(request), reviews)),
        readers={who: len(of) for who, of in blind_answers(found, reviews).items()},
    )


def _groups(known: StudyResults) -> dict[str, object]:
    together = {"all together": known.pooled} if len(known.readers) > 1 else {}
    return {**known.readers, **together}


def _address(dataset: str, study: str) -> str:
    return f"/review/{dataset}/studies/{quote(study, safe='')}"
