"""The data of a study's arms: checked, and pinned before the first cell is trained.

A dataset may be released again while a study goes on, after a day of review; its cells must not
then be trained on one release and on the other. `arms.json` names the releases, once.
"""

import json

from pydantic import Field

from flows.plan_files import parse_plan
from flows.plans import Name, Plan
from flows.study_plans import Arm, StudyPlan
from flows.study_work import StudyWork
from flows.training_data_plans import CorpusSource, Mixture, Phase, ReleaseSource
from flows.work import open_work
from models.vocabulary.findings import Finding
from storage.corpora import corpus_info
from storage.errors import PlanMismatch
from storage.json_files import parse_json
from storage.objects import ObjectStore
from tasks.training_mixture import count_training_pairs


class PinnedArm(Plan):
    """An arm as all of its cells are trained."""

    name: Name
    data: Mixture = Field(description="Every release by its number.")
    num_pairs: int = Field(ge=1, description="To train on.")
    by_source: tuple[int, ...] = Field(description="Pairs of each of the data's parts.")
    findings: dict[str, int] = Field(description="Pairs that speak of each as present.")

    def made(self, root: str) -> str:
        """In words: which pairs, and in which order."""
        sources, phases = self.data.parts().sources, self.data.phases
        counts = [
            [self.by_source[sources.index(one.pairs())] for one in phase.sources]
            for phase in phases
        ]
        said = [_phase_in_words(*one, root) for one in zip(phases, counts, strict=True)]
        if len(said) == 1:
            return said[0]
        shares = [f"{phase.share:.0%} of the steps on" for phase in phases]
        return ", then ".join(map(" ".join, zip(shares, said, strict=True)))


class PinnedArms(Plan):
    """What all cells of a study share of their data."""

    arms: tuple[PinnedArm, ...]
    corpora: dict[str, str] = Field(description="Hash of the source of each corpus that is read.")

    def data_of(self, arm: str) -> Mixture:
        """What an arm is trained on."""
        (data,) = (one.data for one in self.arms if one.name == arm)
        return data


def pin_arms(work: StudyWork) -> PinnedArms:
    """Count what every arm has to train on and pin it, or find it pinned.

    Raises:
        ValueError: If an arm has nothing to train on.
        PlanMismatch: If the root has other corpora than the study was begun with.
    """
    if not work.store.exists(work.layout.arms):
        pinned = PinnedArms(
            arms=tuple(_pinned(work, arm) for arm in work.plan.arms),
            corpora=_corpora(work.store, work.plan),
        )
        data = json.dumps(pinned.model_dump(mode="json"), indent=2).encode()
        work.store.put_if_absent(work.layout.arms, data)  # of racing studies the first stays
    found = read_arms(work)
    if (now := _corpora(work.store, work.plan)) != found.corpora:
        raise PlanMismatch(
            f"study {work.plan.name!r} was begun with corpora {found.corpora}, {work.root} has "
            f"{now}; bring those in, or give the study another name"
        )
    return found


def read_arms(work: StudyWork) -> PinnedArms:
    """What `pin_arms` has pinned.

    Raises:
        ObjectMissing: If it has not.
    """
    where = work.store.uri(work.layout.arms)
    return parse_plan(parse_json(work.store.get(work.layout.arms), where), PinnedArms, where)


def _pinned(work: StudyWork, arm: Arm) -> PinnedArm:
    phases = [
        phase.model_copy(update={"sources": tuple(_numbered(work, one) for one in phase.sources)})
        for phase in arm.data.phases
    ]
    data = arm.data.model_copy(update={"phases": tuple(phases)})
    try:
        counts = count_training_pairs(work.root, data.parts())
    except (ValueError, LookupError) as error:
        raise ValueError(f"arm {arm.name!r}: {error}") from error
    return PinnedArm(
        name=arm.name,
        data=data,
        num_pairs=counts.num_pairs,
        by_source=tuple(count for _, count in counts.by_source),
        findings={finding.value: counts.findings.get(finding.value, 0) for finding in Finding},
    )


def _numbered(
    work: StudyWork, source: ReleaseSource | CorpusSource
) -> ReleaseSource | CorpusSource:
    if isinstance(source, CorpusSource):
        return source
    return source.model_copy(update={"release": source.pairs().release_number(work.store)})


def _corpora(store: ObjectStore, plan: StudyPlan) -> dict[str, str]:
    found = {name: corpus_info(store, name) for name in plan.named_corpora()}
    return {name: info.source_sha256 for name, info in found.items() if info is not None}


def _phase_in_words(phase: Phase, num_pairs: list[int], root: str) -> str:
    said = [
        _source_in_words(source, count, root)
        for source, count in zip(phase.sources, num_pairs, strict=True)
    ]
    if len(said) == 1:
        return said[0]
    total = sum(source.weight for source in phase.sources)
    whole = "each batch" if phase.batches == "mixed" else "the batches, whole ones,"
    shares = [f"{source.weight / total:.0%} of {whole} from" for source in phase.sources]
    return " and ".join(map(" ".join, zip(shares, said, strict=True)))


def _source_in_words(source: ReleaseSource | CorpusSource, num_pairs: int, root: str) -> str:
    if isinstance(source, CorpusSource):
        text = "reports written from labels" if source.text == "labels" else "its own reports"
        audited = ", less what the audit rejected" if source.audited_by else ""
        return f"corpus {source.corpus} ({num_pairs} real images, {text}{audited})"
    plan = open_work(root, source.dataset).plan
    return (
        f"dataset {source.dataset}, release {source.release} ({num_pairs} pairs, writer "
        f"{plan.writer.kind}, painter {plan.painter.kind})"
    )
