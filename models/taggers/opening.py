"""Opening a tagger where it belongs: a light one here, one with weights in a supervised child."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.engine_process import EngineProcess
from models.engine_queue import BATCH_TIMEOUT_SECONDS
from models.engines import EngineConfig, EngineInfo, EntityTagger, Placement
from storage.records import Entity

_TEXTS_AT_ONCE = 1024  # sent to the child in one message; it forms its own engine batches


def open_tagger(config: EngineConfig) -> EntityTagger:
    """The tagger of a config, loaded.

    Raises:
        EngineUnavailable: If it cannot start at all.
        EngineFailed: If its child died while it loaded.
    """
    if config.placement is Placement.IN_PROCESS:
        tagger: EntityTagger = config.open()
        return tagger
    return SupervisedTagger(config)


class SupervisedTagger:
    """A tagger in a child process: dead or hung, it fails its batch and is started anew."""

    def __init__(self, config: EngineConfig) -> None:
        self._process = EngineProcess(TagStationConfig(config), BATCH_TIMEOUT_SECONDS)
        self._process.start()
        self.info = self._process.info

    def tag(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Entities of each text, as the tagger in the child finds them.

        Raises:
            EngineFailed: If it raised, died or hung; the next call starts it anew.
        """
        found: list[tuple[Entity, ...]] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            found += self._process.call(texts[start : start + _TEXTS_AT_ONCE])
        return found

    def close(self) -> None:
        """End the child."""
        self._process.stop()


@dataclass(frozen=True, slots=True)
class TagStationConfig:
    """What the child opens."""

    tagger: EngineConfig

    @property
    def placement(self) -> Placement:
        """The tagger's."""
        return self.tagger.placement

    def open(self) -> "TagStation":
        """Load the tagger."""
        return TagStation(self.tagger.open())


class TagStation:
    """A tagger as `engine_process` drives it: texts in, entities out."""

    max_batch_size = _TEXTS_AT_ONCE

    def __init__(self, tagger: EntityTagger) -> None:
        self.info: EngineInfo = tagger.info
        self._tagger = tagger

    def run(self, requests: Sequence[str]) -> Sequence[tuple[Entity, ...]]:
        """Entities of each text, in order."""
        return self._tagger.tag(requests)

    def close(self) -> None:
        """Close the tagger."""
        self._tagger.close()
