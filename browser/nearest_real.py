"""The real training image nearest to a sample's, where a gate recorded which it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import lance

from browser.library import Library
from browser.problems import not_found
from models.gates.nearest_real import GATE
from models.gates.real_images import real_images_origin
from models.places import local_path
from storage.corpora import open_table
from storage.errors import FactoryError, ObjectMissing
from storage.layout import DatasetLayout, corpus_table
from storage.plan_lock import read_plan
from storage.records import GateScore
from storage.tables import lance_errors

_ROW, _DISTANCE = "neighbour_row", "distance_at_least"


@dataclass(frozen=True, slots=True)
class NearestReal:
    """The nearest training image of the gate's corpus.

    Attributes:
        distance: 1 - cosine of standardised embeddings, 0 to 2.
        row: In the gate's table of embeddings.
        corpus: Whose image it is; empty where that table lies on another machine.
        image_id: Its name in the corpus; empty likewise.
        shown: Whether the picture may be sent out: not of a restricted corpus beyond loopback.
    """

    distance: float
    row: int
    corpus: str
    image_id: str
    shown: bool


def nearest_real(library: Library, dataset: str, scores: Sequence[GateScore]) -> NearestReal | None:
    """What the scores of a sample say of it; None where no such gate looked."""
    measured = {one.measure: one.value for one in scores if one.gate == GATE}
    if _ROW not in measured:
        return None
    row, distance = int(measured[_ROW]), measured[_DISTANCE]
    try:
        path = _table_of_gate(library, dataset)
        origin = real_images_origin(path)
        image_id = _image_id(path, row)
    except (FactoryError, LookupError):  # made elsewhere: the row and the distance still stand
        return NearestReal(distance, row, "", "", shown=False)
    shown = library.settings.may_show(origin.corpus, restricted=origin.restricted)
    return NearestReal(distance, row, origin.corpus, image_id, shown)


def real_image(library: Library, corpus: str, image_id: str) -> bytes:
    """The file of a corpus's image, PNG or JPEG.

    Raises:
        Problem: If there is none, or if its corpus is restricted and this serves beyond loopback.
    """
    missing = not_found(f"Corpus {corpus[:100]!r} shows no such image.", "See the corpora.")
    try:
        dataset = open_table(library.store, corpus_table(corpus))
    except ValueError as error:
        raise missing from error
    if dataset is None or "image" not in dataset.schema.names:
        raise missing
    library.require_corpus(corpus)
    wanted = image_id.replace("'", "''")
    with lance_errors(dataset.uri):
        found = dataset.scanner(
            columns=["image_id"], filter=f"image_id = '{wanted}'", with_row_id=True
        ).to_table()
        if not found.num_rows:
            raise missing
        ((_, data),) = dataset.read_blobs("image", ids=found["_rowid"].to_pylist()[:1])
    if not data:
        raise missing
    return bytes(data)


def _table_of_gate(library: Library, dataset: str) -> str:
    """Where the plan says the embeddings lie; raises LookupError when it names no such gate."""
    gates = read_plan(library.store, DatasetLayout(dataset))["plan"]["image_rules"]["gates"]
    return next((str(gate["index"]) for gate in gates if gate["kind"] == GATE), "")


def _image_id(path: str, row: int) -> str:
    table = lance.dataset(str(local_path(path)))
    if row >= table.count_rows():
        raise ObjectMissing(f"{path} has no row {row}")
    (image_id,) = table.take([row], columns=["image_id"])["image_id"].to_pylist()
    return str(image_id)
