"""Reports for images that have labels only: what is labelled as present, written by the grammar.

Such a report says no more than its labels: no place, no severity, nothing denied. It is the same
for ever for the same image and labels.
"""

from collections.abc import Sequence

from models.engines import WriteRequest
from models.painters.finetuning.captions import NO_FINDING
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding
from models.writers.configs import GrammarConfig
from storage.corpora import ImageNote
from storage.identity import sample_seed
from storage.records import Entity, EntityStatus, Report, Stage, View

_TERMS = {finding.value: finding.term for finding in Finding}


class LabelReports:
    """Writes them."""

    def __init__(self) -> None:
        config = GrammarConfig()
        self.revision = config.revision()
        self._writer = config.open()

    def write(self, note: ImageNote) -> Report | None:
        """The report of one image; of one without findings, that there are none.

        Returns:
            None where nothing true can be said: no label is a known finding, or all that is
            stated is stated as possible.
        """
        stated = [label for label in note.labels if label != NO_FINDING]
        entities = present_entities(stated)
        if not entities and (stated or note.uncertain_labels):
            return None
        request = WriteRequest(
            sample_id=note.image_id,
            seed=sample_seed(note.image_id, Stage.WRITE, 1),
            entities=entities,
            view=View.PA,  # a request has one; the grammar speaks of none
        )
        (written,) = self._writer.write([request])
        return written.report


def present_entities(labels: Sequence[str]) -> tuple[Entity, ...]:
    """What labels of known findings say is there; other labels say nothing."""
    vocabulary = load_vocabulary()
    found = (vocabulary.lookup(_TERMS.get(label, label.replace("_", " "))) for label in labels)
    concepts = {one.text: one for one in found if one is not None and one.kind.is_clinical}
    return tuple(
        Entity(concept.text, concept.kind, EntityStatus.PRESENT) for concept in concepts.values()
    )
