"""Words around a term: severity, side, negation, uncertainty, comparison with another time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from models.vocabulary.anatomy import Side
from models.vocabulary.revisions import files_hash
from models.vocabulary.words import normalise
from storage.records import Severity


@dataclass(frozen=True, slots=True)
class Modifiers:
    """The content of modifiers.yaml; every phrase normalised.

    Attributes:
        severity: Word to severity; sizes included (small = mild, large = severe).
        sides: Word to side, for sides said without an anatomy term.
        negation_before: Cues that deny what follows.
        negation_word: Cues that deny what follows up to the next comma.
        negation_after: Cues that deny what precedes.
        pseudo_negation: Phrases that hold a negation word and deny nothing.
        scope_end: Phrases at which a cue's reach ends and a new clause begins.
        scope_restart: Phrases at which a cue's reach ends within a clause.
        uncertainty_before: Cues that make what follows uncertain.
        uncertainty_word: Cues that make the next term uncertain, and those joined to it by "or".
        uncertainty_between: Cues that make what stands on either side uncertain.
        uncertainty_after: Cues that make what precedes uncertain.
        normality: Words of a term that states normality by itself.
        comparison: Matches a word that compares with another examination.
        revision: SHA-256 of words and rules, 64 hex digits.
    """

    severity: Mapping[str, Severity]
    sides: Mapping[str, Side]
    negation_before: tuple[str, ...]
    negation_word: tuple[str, ...]
    negation_after: tuple[str, ...]
    pseudo_negation: tuple[str, ...]
    scope_end: tuple[str, ...]
    scope_restart: tuple[str, ...]
    uncertainty_before: tuple[str, ...]
    uncertainty_word: tuple[str, ...]
    uncertainty_between: tuple[str, ...]
    uncertainty_after: tuple[str, ...]
    normality: tuple[str, ...]
    comparison: re.Pattern[str]
    revision: str

    def states_normality(self, term: str) -> bool:
        """Whether a term is a statement of normality ("normal heart size"), not a finding."""
        padded = f" {normalise(term)} "
        return any(f" {word} " in padded for word in self.normality)

    def comparison_word(self, text: str) -> str | None:
        """The first word of `text` that compares with another time; None when there is none."""
        match = self.comparison.search(text)
        return match.group(0) if match else None


@cache
def load_modifiers() -> Modifiers:
    """The modifiers of this package, read once."""
    text = files("models.vocabulary").joinpath("modifiers.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    cues = {
        name: tuple(normalise(phrase) for phrase in phrases)
        for name, phrases in data.items()
        if name not in ("severity", "sides", "comparison")
    }
    return Modifiers(
        severity={
            normalise(w): Severity(s) for s, words in data["severity"].items() for w in words
        },
        sides={normalise(w): Side(s) for s, words in data["sides"].items() for w in words},
        comparison=re.compile(rf"\b(?:{'|'.join(data['comparison'])})\b", re.IGNORECASE),
        revision=files_hash("models.vocabulary", "modifiers.yaml", "modifiers.py"),
        **cues,
    )
