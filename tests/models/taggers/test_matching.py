import pytest

from models.taggers.matching import PhraseMatcher, Role


@pytest.fixture(scope="module")
def matcher() -> PhraseMatcher:
    made = PhraseMatcher()
    made.add(["effusion", "pleural effusion", "hilar mass"], Role.TERM, "finding")
    made.add(["left hilar", "left base"], Role.PLACE, "place")
    made.add(["left"], Role.SIDE, "left")
    made.add(["effusion"], Role.IGNORED)
    return made


def items(matcher: PhraseMatcher, text: str) -> list[list[tuple[Role, str]]]:
    return [[(item.role, item.text) for item in s] for s in matcher.sentences(text)]


def test_sentences_longest_phrase_wins(matcher: PhraseMatcher) -> None:
    assert items(matcher, "Pleural effusion") == [[(Role.TERM, "pleural effusion")]]


def test_sentences_phrase_added_first_keeps_its_meaning(matcher: PhraseMatcher) -> None:
    assert items(matcher, "effusion") == [[(Role.TERM, "effusion")]]


def test_sentences_are_cut_at_stops_but_not_in_numbers(matcher: PhraseMatcher) -> None:
    assert items(matcher, "Size 1.5 cm. Left base!") == [
        [(Role.WORD, "size"), (Role.WORD, "1.5"), (Role.WORD, "cm")],
        [(Role.PLACE, "left base")],
    ]


def test_sentences_hyphen_and_slash_count_as_space(matcher: PhraseMatcher) -> None:
    assert items(matcher, "PLEURAL-effusion/Left") == [
        [(Role.TERM, "pleural effusion"), (Role.SIDE, "left")]
    ]


def test_sentences_side_before_a_longer_term_is_no_place(matcher: PhraseMatcher) -> None:
    assert items(matcher, "left hilar mass") == [[(Role.SIDE, "left"), (Role.TERM, "hilar mass")]]
    assert items(matcher, "left hilar node") == [[(Role.PLACE, "left hilar"), (Role.WORD, "node")]]


@pytest.mark.parametrize("text", ["", " ", "...", "\n\n"])
def test_sentences_of_nothing_are_none(matcher: PhraseMatcher, text: str) -> None:
    assert items(matcher, text) == []
