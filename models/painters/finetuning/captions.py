"""What is known of a real image, as short radiology English: the text a painter learns from.

A corpus of images has labels, not reports. Each time an image is shown, its labels are worded
anew and parts are left out, so that prompts of findings alone, or of other words, are no news.
Where an image has a report, its impression stands in the labels' place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding

NO_FINDING = "No Finding"
NORMAL = (
    "No acute cardiopulmonary abnormality.",
    "No acute cardiopulmonary disease.",
    "No acute findings.",
    "Normal chest radiograph.",
)
SEXES = {"F": "female", "M": "male"}
AGE_GROUPS = ((16, "child"), (40, "young"), (65, "middle-aged"), (200, "elderly"))  # below, years
VIEW_SHARE, PATIENT_SHARE, AGE_SHARE = 0.8, 0.7, 0.5  # how often each part is said
SYNONYM_SHARE, NUM_SYNONYMS = 0.4, 3  # the first synonyms are the common ones
DENIAL_SHARE, MAX_DENIED = 0.4, 3  # so that "no" before a finding is seen to mean its absence


@dataclass(frozen=True, slots=True)
class Subject:
    """What a corpus says of one image; see `storage.readers.rows.CorpusImage`.

    Attributes:
        labels: Findings stated as present, or "No Finding"; empty when nothing is stated.
        uncertain_labels: Findings stated as possible.
        view: "PA", "AP" or None.
        sex: "F", "M" or None.
        age_years: Or None.
        report: Impression of its report, or the findings of one without; None without a report.
    """

    labels: tuple[str, ...]
    view: str | None = None
    sex: str | None = None
    age_years: int | None = None
    uncertain_labels: tuple[str, ...] = ()
    report: str | None = None


def full_caption(subject: Subject) -> str:
    """All that is known, in canonical terms: one text per subject, for prompts."""
    terms = [_term(label) for label in _findings(subject)]
    said = subject.report or _stated(terms, subject, NORMAL[0])
    return _joined([said, _view(subject), _patient(subject, with_age=True)])


def patient_words(view: str | None, sex: str | None, age_years: int | None) -> str:
    """View, sex and age group as captions word them; "" where nothing is known."""
    subject = Subject(labels=(), view=view, sex=sex, age_years=age_years)
    return _joined([_view(subject), _patient(subject, with_age=True)])


def draw_caption(subject: Subject, random: np.random.Generator) -> str:
    """One of the many texts that are true of a subject."""
    parts = [subject.report] if subject.report else _worded(subject, random)
    if random.random() < VIEW_SHARE:
        parts.append(_view(subject))
    if random.random() < PATIENT_SHARE:
        parts.append(_patient(subject, with_age=random.random() < AGE_SHARE))
    return _joined(parts)


def _findings(subject: Subject) -> list[str]:
    return [label for label in subject.labels if label != NO_FINDING]


def _term(label: str) -> str:
    """The canonical term of a label; a label of no known finding is its own term."""
    known = {finding.value for finding in Finding}
    return Finding(label).term if label in known else label.replace("_", " ").lower()


def _worded(subject: Subject, random: np.random.Generator) -> list[str]:
    """The labels in words of the day, and now and then what is not there."""
    terms = [_synonym(label, random) for label in _findings(subject)]
    random.shuffle(terms)
    parts = [_stated(terms, subject, str(random.choice(NORMAL)))]
    if subject.labels and random.random() < DENIAL_SHARE:
        parts.append(_denied(subject, random))
    return parts


def _synonym(label: str, random: np.random.Generator) -> str:
    concept = load_vocabulary().lookup(_term(label))
    if concept is None or not concept.synonyms or random.random() >= SYNONYM_SHARE:
        return _term(label)
    return str(random.choice(concept.synonyms[:NUM_SYNONYMS]))


def _stated(terms: Sequence[str], subject: Subject, normal: str) -> str:
    if terms:
        return _listed(terms, "and") + "."
    return normal if subject.labels else ""


def _denied(subject: Subject, random: np.random.Generator) -> str:
    """Some findings the corpus does not state, as absent: its labels cover all fourteen."""
    stated = {*subject.labels, *subject.uncertain_labels}
    absent = [finding.term for finding in Finding if finding.value not in stated]
    count = int(random.integers(1, MAX_DENIED + 1))
    chosen = [str(term) for term in random.choice(absent, size=count, replace=False)]
    return f"no {_listed(chosen, 'or')}."


def _view(subject: Subject) -> str:
    return f"{subject.view} view." if subject.view else ""


def _patient(subject: Subject, *, with_age: bool) -> str:
    sex = SEXES.get(subject.sex or "", "")
    age = _age_group(subject.age_years) if with_age else ""
    known = [word for word in (age, sex) if word]
    return " ".join([*known, "patient."]) if known else ""


def _age_group(age_years: int | None) -> str:
    if age_years is None:
        return ""
    return next(group for below, group in AGE_GROUPS if age_years < below)


def _listed(terms: Sequence[str], conjunction: str) -> str:
    *first, last = terms
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def _joined(parts: Iterable[str]) -> str:
    return " ".join(part[0].upper() + part[1:] for part in parts if part)
