"""Entities as sentences: one alone, two together, a sign with its cause, lists of denials."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import TypeVar

from models.vocabulary.concepts import Region
from models.vocabulary.modifiers import load_modifiers
from models.writers.noun_phrases import NounPhrase, Wording, capitalised, concept_of
from storage.records import Entity, EntityKind, EntityStatus

_LONGEST_LIST = 4  # denials in one sentence
_SIGN_WITH_CAUSE, _TWO_TOGETHER, _OWN_DENIAL = 0.7, 0.4, 0.5  # how often, where it is possible

Item = TypeVar("Item")


class Sentences:
    """Makes the sentences of one report.

    Args:
        wording: Chooses words.
        entities: All that the report is about; each keeps its name throughout.
        random: Makes the choices.
    """

    def __init__(self, wording: Wording, entities: Sequence[Entity], random: Random) -> None:
        self._wording = wording
        self._phrases = wording.phrases
        self._random = random
        self._words = {entity: wording.choose(entity, random) for entity in entities}
        self._places = frozenset(e.text for e in entities if e.kind is EntityKind.ANATOMY)

    def statements(self, entities: Sequence[Entity]) -> Iterator[str]:
        """Sentences of FINDINGS for what is or may be there."""
        return self._told(entities, summary=False)

    def summary(self, entities: Sequence[Entity]) -> Iterator[str]:
        """Sentences of the IMPRESSION for the same, shorter."""
        return self._told(entities, summary=True)

    def normal_places(self, places: Sequence[str]) -> Iterator[str]:
        """Anatomy that no finding touches; two of a kind may share a sentence."""
        clear = [place for place in places if place in self._phrases.clear_places]
        other = [place for place in places if place not in self._phrases.clear_places]
        for key, group in (("clear_place", clear), ("normal_place", other)):
            for together in _in_lists(group, 2):
                yield self._place_sentence(key, self._joined_places(together))

    def otherwise_normal_places(self, places: Sequence[str]) -> Iterator[str]:
        """Anatomy beside something that was found."""
        for place in places:
            clear = place in self._phrases.clear_places
            key = "otherwise_clear_place" if clear else "otherwise_normal_place"
            yield self._place_sentence(key, self._wording.place(place))

    def denials(self, absent: Sequence[Entity]) -> Iterator[str]:
        """What has a place, its own denial or unknown words stands alone; the rest in lists."""
        listed: list[Entity] = []
        for entity in absent:
            own = self._phrases.denials.get(entity.text)
            if entity.anatomy is not None:
                yield self._denial_in_place(entity)
            elif own and self._wording.varied and self._denied_so(entity):
                yield self._random.choice(own)
            elif concept_of(entity) is None and load_modifiers().states_normality(entity.text):
                yield f"{capitalised(entity.text)}."
            elif concept_of(entity) is None:
                yield self._denial_of([entity])
            else:
                listed.append(entity)
        for together in _in_lists(listed, _LONGEST_LIST):
            yield self._denial_of(together)

    def _told(self, entities: Sequence[Entity], summary: bool) -> Iterator[str]:
        """One sentence for each, for two that fit together, or for a sign and what it may be."""
        waiting = list(entities)
        while waiting:
            entity = waiting.pop(0)
            phrase = self._noun_phrase(entity)
            if (cause := self._cause(entity, waiting)) is not None:
                waiting.remove(cause)
                yield self._sign_and_cause(phrase, cause)
            elif (other := self._partner(entity, phrase, waiting)) is not None:
                waiting.pop(0)
                yield self._pair(phrase, other, summary)
            else:
                yield self._statement(entity, phrase, summary)

    def _cause(self, sign: Entity, waiting: Sequence[Entity]) -> Entity | None:
        """What a sign may be, if it is to be told with it."""
        cause = next((entity for entity in waiting if self._may_be(sign, entity)), None)
        return cause if cause and self._random.random() < _SIGN_WITH_CAUSE else None

    def _partner(
        self, entity: Entity, phrase: NounPhrase, waiting: Sequence[Entity]
    ) -> NounPhrase | None:
        """The next finding's words, if it is to be told with this one."""
        if not waiting or not entity.status is waiting[0].status is EntityStatus.PRESENT:
            return None
        other = self._noun_phrase(waiting[0])
        together = phrase.stands_alone and other.stands_alone
        return other if together and self._random.random() < _TWO_TOGETHER else None

    def _pair(self, phrase: NounPhrase, other: NounPhrase, summary: bool) -> str:
        template = self._choose("summary_pair" if summary else "present_pair")
        return self._fill(template, phrase, other=other.a_thing, other_thing=other.thing)

    def _may_be(self, sign: Entity, cause: Entity) -> bool:
        return (
            sign.text in self._phrases.signs
            and sign.status is EntityStatus.PRESENT
            and cause.text in self._phrases.causes
            and cause.status is EntityStatus.UNCERTAIN
            and cause.severity is None
            and cause.anatomy in (None, sign.anatomy)
        )

    def _sign_and_cause(self, sign: NounPhrase, cause: Entity) -> str:
        apart = cause.anatomy is None
        choices = self._phrases.may_be_apart if apart else self._phrases.may_be
        return self._fill(self._random.choice(choices), sign, cause=self._words[cause].name)

    def _statement(self, entity: Entity, phrase: NounPhrase, summary: bool) -> str:
        elsewhere = "_elsewhere" if phrase.at_place else ""
        if entity.status is EntityStatus.UNCERTAIN:
            return self._fill(self._choose(_uncertain_key(entity) + elsewhere), phrase)
        if summary:
            return self._fill("{Thing} {at_place}.", phrase)
        if entity.kind is EntityKind.DISEASE and not elsewhere:
            return self._fill(self._choose("present_disease"), phrase)
        bare = not elsewhere and " " not in phrase.thing  # one word makes no sentence in FINDINGS
        return self._fill(self._choose("present_bare" if bare else f"present{elsewhere}"), phrase)

    def _denied_so(self, entity: Entity) -> bool:
        """Whether to deny a finding in its own way; half the time, or always where "no" is odd."""
        return entity.text in self._phrases.denied_only_so or self._random.random() < _OWN_DENIAL

    def _denial_in_place(self, entity: Entity) -> str:
        phrase = self._noun_phrase(entity)
        key = "absent_elsewhere" if phrase.at_place else "absent"
        return self._fill(self._choose(key), phrase, things=phrase.thing)

    def _denial_of(self, entities: Sequence[Entity]) -> str:
        names = [self._wording.denied_name(entity) for entity in entities]
        things = _either([name.thing for name in names])
        return self._fill(self._choose("absent"), names[-1], things=things)

    def _joined_places(self, places: Sequence[str]) -> NounPhrase:
        phrases = [self._wording.place(place) for place in places]
        text = " and ".join(phrase.thing for phrase in phrases).replace("and the ", "and ")
        return NounPhrase(text, False, len(phrases) > 1 or phrases[0].is_plural)

    def _place_sentence(self, key: str, place: NounPhrase) -> str:
        return self._choose(key).format(
            Place=capitalised(place.thing),
            appear="appear" if place.is_plural else "appears",
            **{"is": place.verb},
        )

    def _noun_phrase(self, entity: Entity) -> NounPhrase:
        name_place = entity.anatomy in self._places
        return self._wording.noun_phrase(entity, self._words[entity], self._random, name_place)

    def _choose(self, key: str) -> str:
        return self._random.choice(self._phrases.sentences[key])

    def _fill(self, template: str, phrase: NounPhrase, **words: str) -> str:
        sentence = template.format(
            thing=phrase.thing,
            Thing=capitalised(phrase.thing),
            a_thing=phrase.a_thing,
            A_thing=capitalised(phrase.a_thing),
            at_place=phrase.at_place,
            At_place=capitalised(phrase.at_place),
            **{"is": phrase.verb},
            **words,
        )
        return sentence.replace(" .", ".").replace(" ,", ",").replace("  ", " ")


def _uncertain_key(entity: Entity) -> str:
    """Which sentences suit an uncertain finding: nobody suspects a pacemaker of being there."""
    concept = concept_of(entity)
    if concept is not None and concept.region is Region.DEVICES:
        return "uncertain_device"
    return "uncertain_disease" if entity.kind is EntityKind.DISEASE else "uncertain"


def _in_lists(items: Sequence[Item], longest: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + longest] for start in range(0, len(items), longest))


def _either(names: Sequence[str]) -> str:
    """Join names: two with "or", more with commas and a last "or"."""
    if len(names) < 3:
        return " or ".join(names)
    return f"{', '.join(names[:-1])}, or {names[-1]}"
