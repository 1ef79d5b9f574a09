"""Settings of the writers of this package; light, so that any plan can be read without a model."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from models.engines import EngineConfig, Placement, ReportWriter
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.modifiers import load_modifiers
from models.vocabulary.revisions import files_hash, joined_hash

if TYPE_CHECKING:
    from models.writers.corpus import CorpusWriter

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
    mistakes: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=(
            "Share of reports with one mistake: an entity dropped, turned into its opposite, or "
            "one of the 14 findings added. For ablations: what is asked for stays as it is, so "
            "that a report gate has something to find."
        ),
        exclude_if=lambda share: share == 0,  # datasets older than this field keep their identity
    )

    def revision(self) -> str:
        """Hash of the grammar's words and rules, the vocabulary and the modifiers."""
        rules = files_hash("models.writers", *_RULES)
        grammar = joined_hash(load_vocabulary().revision, load_modifiers().revision, rules)
        if self.mistakes == 0:
            return grammar
        return joined_hash(grammar, files_hash("models.writers", "mistakes.py"))

    def open(self) -> ReportWriter:
        """Read the phrases; takes tens of milliseconds."""
        from models.writers.grammar import GrammarWriter
        from models.writers.mistakes import MistakenWriter

        writer = GrammarWriter(self)
        return MistakenWriter(writer, self.mistakes) if self.mistakes else writer


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
