"""Settings of the taggers of this package; light, so that any plan can be read without a model."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from models.engines import EngineConfig, Placement
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.modifiers import load_modifiers
from models.vocabulary.revisions import files_hash, joined_hash
from storage.records import EntityKind

if TYPE_CHECKING:
    from models.taggers.huggingface import HuggingfaceTagger
    from models.taggers.lexicon import LexiconTagger

_LEXICON_RULES = (
    *("clauses.py", "lexicon.py", "lexicon.yaml", "links.py", "matching.py"),
    "mentions.py",
)
_HUGGINGFACE_RULES = ("huggingface.py", "mentions.py", "token_labels.py")


class LexiconConfig(EngineConfig):
    """The tagger without weights: terms, synonyms, plurals, negation and uncertainty scope."""

    placement: ClassVar[Placement] = Placement.IN_PROCESS

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
        rules = files_hash("models.taggers", *_LEXICON_RULES)
        terms = (f"{kind}:{text}" for text, kind in self.extra_terms)
        return joined_hash(load_vocabulary().revision, load_modifiers().revision, rules, *terms)

    def open(self) -> "LexiconTagger":
        """Build the phrase matcher; takes tens of milliseconds."""
        from models.taggers.lexicon import LexiconTagger

        return LexiconTagger(self)


class HuggingfaceConfig(EngineConfig):
    """Any token-classification checkpoint of transformers, from a folder or the local hub cache.

    It names entities and whether they are denied, neither doubt nor place: see `docs/taggers.md`.
    How many texts share an engine batch is no part of a dataset.
    """

    placement: ClassVar[Placement] = Placement.PROCESS_PER_GPU_GROUP

    kind: Literal["huggingface"] = "huggingface"
    model: str = Field(
        default="Angelakeke/RaTE-NER-Deberta",
        min_length=1,
        max_length=4096,
        description="Folder that save_pretrained wrote, or a hub id owner/name that the local hub "
        "cache has; study 1: RaTE-NER. Weights are read from safetensors only.",
    )
    hub_revision: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Commit, tag or branch of a hub id; empty: its main branch. What it resolves "
        "to is pinned.",
    )
    labels: dict[str, EntityKind | None] = Field(
        default_factory=dict,
        max_length=1000,
        description="Kind of each label of the checkpoint, without B- or I-; null: no entity. "
        "RaTE-NER's own five need no entry.",
    )

    def revision(self) -> str:
        """Hash of the hub commit or the files, of what the labels mean, vocabulary and rules.

        Raises:
            EngineUnavailable: If the checkpoint is missing, damaged or no token classifier, or a
                label of it means nothing; says what to do.
        """
        from models.taggers.token_classifier import find_classifier

        found = find_classifier(self.model, self.hub_revision, self.labels)
        meanings = (f"{label.kind}:{label.begins}" for label in found.labels)
        rules = files_hash("models.taggers", *_HUGGINGFACE_RULES)
        return joined_hash(found.revision, load_vocabulary().revision, rules, *meanings)

    def open(self) -> "HuggingfaceTagger":
        """Load the checkpoint on this machine's GPU, or on its CPU where there is none.

        Raises:
            EngineUnavailable: See `revision`; or if transformers cannot load it.
        """
        from models.taggers.huggingface import HuggingfaceTagger

        return HuggingfaceTagger(self)
