"""Where a tagger runs: the lexicon here, weights in a child process that is started anew."""

import os
from pathlib import Path

import pytest

from models.engines import EntityTagger, WriteRequest
from models.gates.report import ReportRules
from models.taggers.configs import HuggingfaceConfig, LexiconConfig
from models.taggers.lexicon import LexiconTagger
from models.taggers.opening import open_tagger
from models.writers.configs import GrammarConfig
from models.writers.writing import WriteStationConfig
from storage.errors import EngineFailed, EngineUnavailable
from storage.records import Entity, EntityKind, EntityStatus, View
from tests.models.taggers.fake_tagger import DEADLY, WordsConfig


def test_open_tagger_lexicon_runs_here() -> None:
    assert isinstance(open_tagger(LexiconConfig()), LexiconTagger)


def test_open_tagger_heavy_one_runs_in_a_child_and_is_started_anew_after_its_death() -> None:
    tagger = open_tagger(WordsConfig())
    first = _process_of(tagger)
    assert first != os.getpid()
    assert _process_of(tagger) == first
    assert [len(entities) for entities in tagger.tag(["one two"] * 1500)] == [2] * 1500
    with pytest.raises(EngineFailed, match=r"engine process died \(exit status 9\)"):
        tagger.tag([DEADLY])
    second = _process_of(tagger)
    assert second not in (first, os.getpid())
    tagger.close()
    assert not Path(f"/proc/{second}").exists()


def test_open_tagger_that_cannot_start_is_one_line() -> None:
    with pytest.raises(EngineUnavailable, match="weights of 'words' are missing; install"):
        open_tagger(WordsConfig(available=False))


def test_write_station_judges_by_what_the_classifier_reads(bert: Path) -> None:
    tagger = HuggingfaceConfig(model=str(bert))
    config = WriteStationConfig(GrammarConfig(wording="canonical"), tagger, ReportRules())
    station = config.open()
    asked = Entity("pneumonia", EntityKind.DISEASE, EntityStatus.PRESENT)
    (outcome,) = station.run([WriteRequest("s", 3, (asked,), View.PA)])
    station.close()
    assert outcome.entities_found
    assert tagger.open().tag([outcome.report.findings]) == [outcome.entities_found]


def _process_of(tagger: EntityTagger) -> int:
    (entities,) = tagger.tag(["one"])
    return int(entities[0].text.split()[1])
