"""What a stage is handed of a unit: what the stage before kept, through ledger and staging."""

from models.painters.painting import PaintItem
from storage.dataset import Dataset
from storage.records import ImageRow, Outcome, ReportRow, Stage
from storage.rounds import Rounds
from storage.staging import read_staged


def reports_to_paint(dataset: Dataset, rounds: Rounds, number: int) -> list[PaintItem]:
    """In the first round the reports that were kept, later those whose image the judge refused.

    Args:
        dataset: Whose ledger and staged files are read.
        rounds: How the numbers are made.
        number: Of the unit's round.

    Raises:
        ObjectMissing: If what comes before is not settled.
    """
    if number < rounds.num_units:
        record = dataset.ledger.record(Stage.WRITE, number)
        reports = read_staged(dataset.store, record.staged, ReportRow)
        return [PaintItem(row) for row in reports if row.outcome is Outcome.ACCEPTED]
    before = rounds.before(number)
    judged = dataset.ledger.record(Stage.JUDGE, before).outcomes
    refused = {one.index for one in judged if one.outcome is Outcome.REJECTED}
    record = dataset.ledger.record(Stage.PAINT, before)
    images = read_staged(dataset.store, record.staged, ImageRow)
    return [PaintItem(row.written, row.provenance.tries) for row in images if row.index in refused]


def images_to_judge(dataset: Dataset, number: int) -> list[ImageRow]:
    """The images of a unit's round that the image gates kept.

    Raises:
        ObjectMissing: If the round is not painted.
    """
    record = dataset.ledger.record(Stage.PAINT, number)
    images = read_staged(dataset.store, record.staged, ImageRow)
    return [row for row in images if row.outcome is Outcome.ACCEPTED]
