"""What a page says when it cannot show what was asked for."""

from dataclasses import dataclass
from http import HTTPStatus

from storage.errors import DamagedObject, FactoryError, ObjectMissing, StoreUnavailable

JSON = "application/json"  # what a script accepts instead of a page


class Problem(Exception):
    """A request that cannot be answered: what is so, and what to do."""

    def __init__(self, status: HTTPStatus, what: str, advice: str) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.advice = advice


@dataclass(frozen=True, slots=True)
class ProblemText:
    """A problem as `/api` says it."""

    status: int
    what: str
    advice: str


def not_found(what: str, advice: str) -> Problem:
    """Nothing of this name."""
    return Problem(HTTPStatus.NOT_FOUND, what, advice)


def problem_of(error: Exception) -> Problem:
    """Any error as a problem; the log has the detail."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, StoreUnavailable):
        what = "The store under the root gave no clear answer."
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, what, "Try again in a moment.")
    if isinstance(error, ObjectMissing):
        what = "What this page shows is no longer there."
        return Problem(HTTPStatus.GONE, what, "Go back to the datasets.")
    if isinstance(error, ValueError):
        return Problem(HTTPStatus.BAD_REQUEST, str(error), "Change the address, or go back.")
    if isinstance(error, DamagedObject):
        what = "What is stored of this is damaged."
        return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, what, "The server's log names it.")
    what = str(error) if isinstance(error, FactoryError) else "Something went wrong on our side."
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, what, "The server's log has the detail.")
