"""Words in reports: which rows of a released table have them.

By the word index that the factory built before the release; where there is none (a release from
before there were any), reports are read one by one and compared as they are.
"""

import re
from dataclasses import dataclass

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lance.query import MatchQuery, PhraseQuery
from numpy.typing import NDArray

from browser.columns import Rows
from browser.remembered import Remembered
from browser.table_index import TableIndex
from storage.tables import lance_errors
from storage.text_index import TEXT_COLUMNS, unindexed_rows

MAX_TERMS = 8
_MAX_BYTES = 8 << 20  # of the answers remembered, a bit a row
_TERM = re.compile(r'"([^"]*)"|(\S+)')
_WORD = re.compile(r"\w+(?:['’]\w+)?")


@dataclass(frozen=True, slots=True)
class Term:
    """A word, or several that follow each other."""

    words: tuple[str, ...]


def parse_terms(text: str) -> list[Term]:
    """What is asked for: single words, and phrases in double quotes; marks mean nothing.

    Raises:
        ValueError: If there are more than `MAX_TERMS`.
    """
    terms = []
    for phrase, word in _TERM.findall(text):
        words = tuple(_WORD.findall((phrase or word).lower()))
        terms += [Term(words)] if phrase and words else [Term((one,)) for one in words]
    if len(terms) > MAX_TERMS:
        raise ValueError(f"expected at most {MAX_TERMS} words or phrases, got {len(terms)}")
    return list(dict.fromkeys(terms))


class TextSearch:
    """Searches the reports of one version of a table; remembers the answer for each term."""

    def __init__(self, dataset: lance.LanceDataset, index: TableIndex) -> None:
        self._dataset = dataset
        self._index = index
        self._answers: Remembered[Term, NDArray[np.uint8]]
        self._answers = Remembered(_MAX_BYTES, lambda bits: bits.nbytes)
        self.is_indexed = all(
            unindexed_rows(dataset, column) is not None for column in TEXT_COLUMNS
        )

    def rows_with(self, text: str) -> Rows | None:
        """Rows whose findings or impression have all terms; None when no term is asked for."""
        terms = parse_terms(text)
        if not terms:
            return None
        rows: Rows = np.logical_and.reduce([self._answer(term) for term in terms])
        return rows

    def _answer(self, term: Term) -> Rows:
        bits = self._answers.get(term, lambda: np.packbits(self._found(term)))
        return np.unpackbits(bits, count=self._index.num_rows).view(np.bool_)

    def _found(self, term: Term) -> Rows:
        if not self.is_indexed:
            return self._read_all(term)
        row_ids = [self._row_ids(term, column) for column in TEXT_COLUMNS]
        return self._index.rows_of_row_ids(np.concatenate(row_ids))

    def _row_ids(self, term: Term, column: str) -> NDArray[np.int64]:
        asked = " ".join(term.words)
        query = PhraseQuery(asked, column) if len(term.words) > 1 else MatchQuery(asked, column)
        with lance_errors(self._dataset.uri):
            found = self._dataset.scanner(
                columns=["_rowid"],
                full_text_query=query,
                with_row_id=True,
                disable_scoring_autoprojection=True,
            ).to_table()
        row_ids: NDArray[np.int64] = found["_rowid"].to_numpy().astype(np.int64)
        return row_ids

    def _read_all(self, term: Term) -> Rows:
        pattern = r"\b" + r"\W+".join(re.escape(word) for word in term.words) + r"\b"
        parts = [np.zeros(0, bool)]
        with lance_errors(self._dataset.uri):
            for batch in self._dataset.to_batches(columns=list(TEXT_COLUMNS)):
                either = [_matches(batch[column], pattern) for column in TEXT_COLUMNS]
                parts.append(np.logical_or.reduce(either))
        return np.concatenate(parts)


def _matches(column: pa.Array, pattern: str) -> Rows:
    found = pc.match_substring_regex(column, pattern, ignore_case=True)
    rows: Rows = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return rows
