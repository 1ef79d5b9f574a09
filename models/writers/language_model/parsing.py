"""From what a language model answered to a report: plain text, one paragraph a section.

What cannot be read becomes an empty section, which the report gate rejects as missing, so that the
sample is tried again with another seed.
"""

import json
import re

from models.chat.parsing import one_line, without_reasoning
from storage.records import Report

REPORT_SCHEMA = {
    "type": "object",
    "properties": {"findings": {"type": "string"}, "impression": {"type": "string"}},
    "required": ["findings", "impression"],
    "additionalProperties": False,
}

_HEADING = re.compile(
    r"(?:\A|\n|(?<=[.!?])\s)[\s#*]*(findings|impression)[\s*]*:[\s*]*", re.IGNORECASE
)
_MARKS = re.compile(r"\*\*|__|^[ \t]*(?:[-*•]|#+)[ \t]+|^```\w*$", re.MULTILINE)


def findings_of(answer: str) -> str:
    """The FINDINGS in an answer: without headings, and without an IMPRESSION nobody asked for."""
    return _section(answer, "findings")


def impression_of(answer: str) -> str:
    """The IMPRESSION in an answer, without headings, and without FINDINGS said again."""
    return _section(answer, "impression")


def report_of(answer: str) -> Report:
    """Both sections of a structured answer; empty where it is no such object."""
    try:
        fields = json.loads(without_reasoning(answer))
    except ValueError:
        return Report("", "")
    if not isinstance(fields, dict):
        return Report("", "")
    findings, impression = fields.get("findings"), fields.get("impression")
    if not (isinstance(findings, str) and isinstance(impression, str)):
        return Report("", "")
    return Report(findings_of(findings), impression_of(impression))


def _section(answer: str, name: str) -> str:
    """The text under the heading of this name, or all that stands before any heading."""
    before, *rest = _HEADING.split(without_reasoning(answer))
    under = dict(zip((heading.lower() for heading in rest[::2]), rest[1::2], strict=True))
    return _paragraph(before if before.strip() else under.get(name, ""))


def _paragraph(text: str) -> str:
    """One line of plain text: no marks, no line ends, no quotes around it all."""
    plain = one_line(_MARKS.sub("", text))
    quoted = len(plain) > 1 and plain[0] == plain[-1] == '"'
    return plain[1:-1].strip() if quoted else plain
