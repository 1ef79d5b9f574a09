"""Word forms that tell nothing about medicine: how a term is compared, and its English plural."""

import re

_IRREGULAR_PLURALS = {
    "apex": "apices",
    "bulla": "bullae",
    "diagnosis": "diagnoses",
    "granuloma": "granulomas",
    "hernia": "hernias",
    "hilum": "hila",
    "mass": "masses",
    "metastasis": "metastases",
    "pneumothorax": "pneumothoraces",
    "process": "processes",
    "prosthesis": "prostheses",
}
_NO_PLURAL = re.compile(r"(s|ia|osis|itis|ema|ing|tion of .*|ly|ed|us|markings|change)$")
# British spellings by their American ones; applied to terms that are not known as they are.
_BRITISH = tuple(
    (re.compile(pattern), american)
    for pattern, american in (
        (r"ae|oe", "e"),  # haematoma, oedema
        (r"our(s?)\b", r"or\1"),  # tumour
        (r"(?<=[bt])re(s?)\b", r"er\1"),  # centre, fibre
        (r"is(ed?|ing|ations?)\b", r"iz\1"),  # localised
        (r"(?<=y)s(e[sd]?|ing)\b", r"z\1"),  # paralysed
    )
)
_SEPARATORS = re.compile(r"[\s\-‐-―_/]+")


def normalise(text: str) -> str:
    """The form in which terms are compared: lower case, one space between words, no hyphens."""
    return _SEPARATORS.sub(" ", text.casefold()).strip()


def american(term: str) -> str:
    """A normalised term in American spelling; meant for comparing, what it makes may be no word.

    >>> american("pulmonary oedema"), american("localised tumours")
    ('pulmonary edema', 'localized tumors')
    """
    for pattern, spelling in _BRITISH:
        term = pattern.sub(spelling, term)
    return term


def plural(term: str) -> str | None:
    """English plural of a term's last word; None for plurals, mass nouns and adjectives.

    >>> plural("lung opacity"), plural("rib fracture"), plural("cardiomegaly")
    ('lung opacities', 'rib fractures', None)
    """
    start, _, last = term.rpartition(" ")
    if last in _IRREGULAR_PLURALS:
        return f"{start} {_IRREGULAR_PLURALS[last]}".lstrip()
    if _NO_PLURAL.search(term):
        return None
    if term.endswith("y") and term[-2:-1] not in "aeiou":
        return f"{term[:-1]}ies"
    return f"{term}es" if term.endswith(("x", "ch", "sh")) else f"{term}s"
