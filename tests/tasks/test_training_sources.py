"""What is trained on of a corpus: whose images, which report, how many; and what is refused."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engines import engine_config
from models.taggers.opening import open_tagger
from models.vocabulary.findings import Finding
from storage.corpora import Corpus, ImageNote, read_corpus
from storage.ingestion import corpus_reader, ingest
from storage.objects import LocalStore, ObjectStore
from storage.records import EntityStatus, Split
from storage.tables import lance_errors
from tasks.corpus_pairs import CorpusPairs
from tasks.label_reports import LabelReports
from tasks.training_sources import drawn
from tests.storage.readers.made_files import png, write_csv
from tests.storage.readers.test_openi import REPORT, write_archive

NUM_PATIENTS = 60
LABELS = ("Edema|Mass", "", "No Finding", "Broken watch")


def corpus_of(**changes: object) -> CorpusPairs:
    fields = {"corpus": "both", "text": "labels", "audited_by": (), "max_pairs": None}
    return CorpusPairs(**(fields | {"draw_seed": 0} | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ObjectStore:
    """Corpora of one to three images a patient: with labels and reports, with either, with none."""
    source = tmp_path_factory.mktemp("source")
    lines = []
    for patient in range(NUM_PATIENTS):
        for number in range(1 + patient % 3):
            name = f"p{patient:02}-{number}.png"
            ramp = np.add.outer(np.arange(24), np.arange(24)) * 4 + patient
            (source / name).write_bytes(png(ramp.astype(np.uint8)))
            said = "Mild pulmonary edema." if patient % 2 else "1."
            lines.append(
                {
                    "image": name,
                    "patient_id": f"p{patient:02}",
                    "labels": LABELS[patient % len(LABELS)],
                    "impression": said if number == 0 else "",
                }
            )
    store = LocalStore(str(tmp_path_factory.mktemp("root")))
    for name, left_out in [("both", ()), ("labelled", ("impression",)), ("told", ("labels",)),
                           ("bare", ("labels", "impression"))]:  # fmt: skip
        table = [{key: value for key, value in line.items() if key not in left_out}
                 for line in lines]  # fmt: skip
        write_csv(source / "list.csv", table)
        ingest(store, name, corpus_reader("folder", source))
    return store


def patients(ids: Sequence[str]) -> set[str]:
    return {one.split("-")[0] for one in ids}


def patients_of(corpus: Corpus, split: Split) -> set[str]:
    return {note.patient_id for note in corpus.image_notes(split)}


def test_only_training_patients_are_trained_on_and_validation_patients_validated_on(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = read_corpus(store, "both")
    expected = {split: patients_of(corpus, split) for split in Split}
    asked: list[Split] = []
    notes = Corpus.image_notes

    def watched(self: Corpus, split: Split | None) -> Iterator[ImageNote]:
        assert split is not None
        asked.append(split)
        return notes(self, split)

    monkeypatch.setattr(Corpus, "image_notes", watched)
    source = corpus_of().read(store).source
    assert patients(source.train.sample_ids) < expected[Split.TRAIN]
    assert patients(source.validation.sample_ids) < expected[Split.VALIDATION]
    assert set(asked) == {Split.TRAIN, Split.VALIDATION}


def test_rows_are_those_of_the_images(store: ObjectStore) -> None:
    source = corpus_of().read(store).source
    table = source.pairs.open()
    rows = source.train.rows.tolist()
    with lance_errors(source.pairs.uri):
        ids = table.take(rows, columns=["image_id"])["image_id"].to_pylist()
    assert tuple(ids) == source.train.sample_ids == tuple(sorted(ids))


def test_labels_become_reports_that_say_them_and_no_more(store: ObjectStore) -> None:
    read = corpus_of().read(store)
    texts = read.source.train
    with_findings = [at for at, one in enumerate(texts.sample_ids) if int(one[1:3]) % 4 == 0]
    said = [f"{texts.findings[at]} {texts.impressions[at]}" for at in range(len(texts))]
    tagger = open_tagger(engine_config("taggers", {"kind": "lexicon"}))
    for at, entities in enumerate(tagger.tag(said)):
        present = {one.text for one in entities if one.status is EntityStatus.PRESENT}
        present -= {one.text for one in entities if not one.kind.is_clinical}
        expected = {Finding.EDEMA.term, Finding.MASS.term} if at in with_findings else set()
        assert present == expected, said[at]
    num_broken = sum(
        note.labels == ("Broken watch",)
        for note in read_corpus(store, "both").image_notes(Split.TRAIN)
    )
    assert read.described["left_out"] == {"no report": num_broken}
    assert read.described["text"] == "derived from labels"
    assert read.described["num_patients"] == len(patients(texts.sample_ids))
    counts = corpus_of().findings(store, read)
    assert counts == {Finding.EDEMA: len(with_findings), Finding.MASS: len(with_findings)}
    assert corpus_of().read(store).source.train.findings == texts.findings, "the same for ever"


def test_what_is_only_possible_is_never_written_as_normal() -> None:
    writer = LabelReports()
    possible = ImageNote(0, "i", "p", (), ("Edema",))
    assert writer.write(possible) is None
    assert writer.write(ImageNote(0, "i", "p", ("Mass",), ("Edema",))) is not None
    normal = writer.write(ImageNote(0, "i", "p", ()))
    assert normal is not None
    assert normal.impression


def test_own_reports_leave_out_images_without_a_sentence(store: ObjectStore) -> None:
    source = corpus_of(corpus="told", text="reports")
    read = source.read(store)
    texts = read.source.train
    assert set(texts.impressions) == {"Mild pulmonary edema."}
    assert all(one.endswith("-0") and int(one[1:3]) % 2 for one in texts.sample_ids)
    assert source.findings(store, read) == {Finding.EDEMA: len(texts)}
    assert read.described["grammar_revision"] is None


def test_max_pairs_takes_whole_patients_and_another_seed_others(store: ObjectStore) -> None:
    whole = corpus_of().read(store).source.train.sample_ids
    some = [corpus_of(max_pairs=20, draw_seed=seed).read(store).source.train.sample_ids
            for seed in (0, 0, 1)]  # fmt: skip
    assert [len(one) for one in some] == [20, 20, 20]
    assert some[0] == some[1] != some[2]
    for one in some:
        assert {name for name in whole if patients([name]) <= patients(one)} == set(one)


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=30),
    max_pairs=st.integers(2, 60),
    seed=st.integers(0, 2**63 - 1),
)
def test_draw_is_whole_groups_and_as_many_as_fit(
    sizes: list[int], max_pairs: int, seed: int
) -> None:
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    ids = [f"i{number}" for number in range(len(groups))]
    taken = drawn(ids, groups, max_pairs, seed)
    of_taken = {group for one, group in zip(ids, groups, strict=True) if one in taken}
    assert taken == {one for one, group in zip(ids, groups, strict=True) if group in of_taken}
    assert len(taken) <= max_pairs
    left = [size for number, size in enumerate(sizes) if f"g{number}" not in of_taken]
    assert all(len(taken) + size > max_pairs for size in left)
    assert taken == drawn(ids[::-1], groups[::-1], max_pairs, seed)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"corpus": "absent"}, "expected a corpus 'absent'"),
        ({"corpus": "bare"}, "'bare' must state labels of training patients"),
        ({"corpus": "bare", "text": "reports"}, "'bare' .*with a report.*got none .*no report"),
        (
            {"audited_by": (engine_config("image_gates", {"kind": "technical"}),)},
            "'both' must have been audited by the gates technical",
        ),
    ],
)
def test_source_that_cannot_be_trained_on_is_one_line(
    store: ObjectStore, changes: dict[str, object], line: str
) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        corpus_of(**changes).read(store)
    assert "\n" not in str(caught.value)


def test_corpus_of_reports_alone_has_no_images(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "a.tgz", [REPORT.format(id="CXR1", findings="Clear.")])
    store = LocalStore(str(tmp_path / "root"))
    ingest(store, "told", corpus_reader("openi", archive))
    with pytest.raises(ValueError, match=r"'told' \(openi\) has no images"):
        corpus_of(corpus="told", text="reports").read(store)
