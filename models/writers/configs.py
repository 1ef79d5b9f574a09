"""Settings of the writers of this package; light, so that any plan can be read without a model."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from models.engines import EngineConfig, Placement
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.modifiers import load_modifiers
from models.vocabulary.revisions import files_hash, joined_hash

if TYPE_CHECKING:
    from models.writers.corpus import CorpusWriter
    from models.writers.grammar import GrammarWriter

_RULES = ("grammar.py", "noun_phrases.py", "phrases.py", "phrases.yaml", "sentences.py")


class GrammarConfig(EngineConfig):
    """The report grammar: no weights, the same request always gives the same report."""

    placement: ClassVar[Placement] = Placement.IN_PROCESS

    kind: Literal["grammar"] = "grammar"
    wording: Literal["varied", "canonical"] = Field(
        default="varied",
        description=(
            "varied: terms are also written as synonyms of the built-in vocabulary. canonical: "
            "every term is written as requested, for a tagger that does not know the synonyms."
        ),
    )

    def revision(self) -> str:
        """Hash of the grammar's words and rules, the vocabulary and the modifiers."""
        rules = files_hash("models.writers", *_RULES)
        return joined_hash(load_vocabulary().revision, load_modifiers().revision, rules)

    def open(self) -> "GrammarWriter":
        """Read the phrases; takes tens of milliseconds."""
        from models.writers.grammar import GrammarWriter

        return GrammarWriter(self)


class CorpusReportsConfig(EngineConfig):
    """No writing: real reports of a corpus's training patients, one each sample (study 2)."""

    placement: ClassVar[Placement] = Placement.IN_PROCESS

    kind: Literal["corpus"] = "corpus"
    corpus: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="An ingested corpus with reports."
    )
    sections: Literal["both", "findings", "impression"] = Field(
        default="both",
        description="Sections without which a report is not taken; another may be missing.",
    )

    def revision(self) -> str:
        """Hash of how a report is taken; which reports there are is pinned with the corpus."""
        return files_hash("models.writers", "corpus.py")

    def open(self) -> "CorpusWriter":
        """Nothing to load: the reports come with the requests."""
        from models.writers.corpus import CorpusWriter

        return CorpusWriter(self)
