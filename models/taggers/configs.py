"""Settings of the taggers of this package; light, so that any plan can be read without a model."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.engines import EngineConfig
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.modifiers import load_modifiers
from models.vocabulary.revisions import files_hash, joined_hash
from storage.records import EntityKind

if TYPE_CHECKING:
    from models.taggers.lexicon import LexiconTagger

_RULES = ("clauses.py", "lexicon.py", "lexicon.yaml", "links.py", "matching.py")


class LexiconConfig(EngineConfig):
    """The tagger without weights: terms, synonyms, plurals, negation and uncertainty scope."""

    kind: Literal["lexicon"] = "lexicon"
    extra_terms: tuple[tuple[str, EntityKind], ...] = Field(
        default=(),
        max_length=1_000_000,
        description=(
            "Terms beyond the built-in vocabulary, each with its kind, for the entity table of a "
            "corpus. A term given here is reported in exactly these words, synonyms included."
        ),
    )

    def revision(self) -> str:
        """Hash of vocabulary, modifiers, rules and extra terms."""
        rules = files_hash("models.taggers", *_RULES)
        terms = (f"{kind}:{text}" for text, kind in self.extra_terms)
        return joined_hash(load_vocabulary().revision, load_modifiers().revision, rules, *terms)

    def open(self) -> "LexiconTagger":
        """Build the phrase matcher; takes tens of milliseconds."""
        from models.taggers.lexicon import LexiconTagger

        return LexiconTagger(self)
