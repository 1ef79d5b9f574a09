"""A report's text by section, and without its de-identification marks."""

import re
from collections import defaultdict
from collections.abc import Iterator

from storage.readers.columns import SECTIONS

# Headings as radiologists write them, by the section they open. Any other heading ends a section.
_HEADINGS = {
    "findings": "findings",
    "finding": "findings",
    "findings and impression": "findings",
    "findings/impression": "findings",
    "impression and findings": "findings",
    "chest findings": "findings",
    "impression": "impression",
    "impressions": "impression",
    "conclusion": "impression",
    "conclusions": "impression",
    "summary": "impression",
    "indication": "indication",
    "indications": "indication",
    "history": "indication",
    "clinical history": "indication",
    "clinical indication": "indication",
    "clinical information": "indication",
    "patient history": "indication",
    "reason for exam": "indication",
    "reason for examination": "indication",
    "reason for study": "indication",
    "comparison": "comparison",
    "comparisons": "comparison",
    "comparison study": "comparison",
}
# A known heading in any case, or 3 to 60 characters in capitals; both at the start of a line.
_KNOWN = "|".join(re.escape(heading).replace(r"\ ", r"\s+") for heading in _HEADINGS)
_HEADING = re.compile(
    rf"^[ \t]*((?i:{_KNOWN})|[A-Z][A-Z0-9 /,()&.\-]{{2,59}})[ \t]*:", re.MULTILINE
)
_TITLE = re.compile(r"^[ \t]*(?:FINAL|PRELIMINARY)? *(?:REPORT|ADDENDUM)[ \t]*$", re.MULTILINE)
_PARAGRAPHS = re.compile(r"\n\s*\n")

_MARK = re.compile(r"[-\[(]*\w*(?:XXX|___)\w*[\])]*(?:-(?=\w))?")  # marks stick to words
_EMPTY_BRACKETS = re.compile(r"[(\[]\s*[)\]]")
_SPACE_BEFORE_STOP = re.compile(r"\s+([.,;:?!])")
_REPEATED_STOPS = re.compile(r"([.,;:?!])(?:\s*[.,;:])+")


def report_sections(text: str) -> dict[str, str | None]:
    """Findings, impression, indication and comparison of a free-text report, as they came.

    A section that occurs twice (an addendum) is joined. A text with neither findings nor
    impression has them in its last paragraph, by the rule of the MIMIC-CXR authors; it is taken
    as findings.

    Args:
        text: With headings at the start of a line, or without any.

    Returns:
        One line of text for each of `SECTIONS`; None for one that is absent or empty.
    """
    parts: dict[str, list[str]] = defaultdict(list)
    for heading, body in _headed(text):
        section = _section(heading)
        if section and (words := " ".join(body.split())):
            parts[section].append(words)
    found = {section: " ".join(parts[section]) or None for section in SECTIONS}
    if not found["findings"] and not found["impression"]:
        found["findings"] = _last_paragraph(text)
    return found


def remove_marks(text: str | None) -> str | None:
    """A section without its de-identification marks; None when nothing else was in it.

    Marks are the strongest trigger of memorisation in a text-to-image model (PAPERS.md, Dar et
    al. 2024), and the punctuation left around them would be learnt in their place.
    """
    if text is None:
        return None
    text = _EMPTY_BRACKETS.sub(" ", _MARK.sub(" ", text))
    text = _SPACE_BEFORE_STOP.sub(r"\1", " ".join(text.split()))
    text = _REPEATED_STOPS.sub(r"\1", text).lstrip(" .,;:?!-").rstrip()
    return text if re.search(r"\w", text) else None


def _headed(text: str) -> Iterator[tuple[str, str]]:
    """Each heading with the text up to the next."""
    found = list(_HEADING.finditer(text))
    starts = [match.start() for match in found] + [len(text)]
    for match, end in zip(found, starts[1:], strict=True):
        yield match[1], _TITLE.sub("", text[match.end() : end])


def _last_paragraph(text: str) -> str | None:
    """The last paragraph without its heading, if it says anything."""
    paragraphs = _PARAGRAPHS.split(_TITLE.sub("", text).strip())
    last = paragraphs[-1].lstrip()
    if any(_section(heading) for heading, _ in _headed(last)):
        return None  # an indication or a comparison, and nothing after it
    heading = _HEADING.match(last)
    return " ".join(last[heading.end() if heading else 0 :].split()) or None


def _section(heading: str) -> str | None:
    """The section that a heading opens; None for one not read."""
    return _HEADINGS.get(" ".join(heading.lower().split()))
