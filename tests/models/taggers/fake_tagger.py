"""A light tagger that wants a child process and dies on request, importable by that child."""

import os
from collections.abc import Sequence
from typing import ClassVar, Literal

from models.engines import EngineConfig, EngineInfo, Placement
from storage.errors import EngineUnavailable
from storage.records import Entity, EntityKind, EntityStatus

DEADLY = "end yourself"


class WordsConfig(EngineConfig):
    """Every word is an abnormality."""

    placement: ClassVar[Placement] = Placement.PROCESS_PER_CORE

    kind: Literal["words"] = "words"
    available: bool = True

    def revision(self) -> str:
        return "1"

    def open(self) -> "WordsTagger":
        if not self.available:
            raise EngineUnavailable("weights of 'words' are missing; install words-weights")
        return WordsTagger()


class WordsTagger:
    info = EngineInfo("words", "1", deterministic=True)

    def tag(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        if DEADLY in texts:
            os._exit(9)
        return [tuple(_entity(f"{word} {os.getpid()}") for word in t.split()) for t in texts]

    def close(self) -> None:
        return


def _entity(text: str) -> Entity:
    return Entity(text, EntityKind.ABNORMALITY, EntityStatus.PRESENT)
