"""A marked word becomes marked tokens."""

from __future__ import annotations

import pytest

from ner_elmo.errors import UsageError
from ner_elmo.explore.query import read_query


@pytest.mark.parametrize(
    ("text", "kind", "before", "marked", "after"),
    [
        ("He went to the [play] in London.", "en-1", "He went to the", "play", "in London ."),
        ("[Manchester United] won", "en-1", "", "Manchester United", "won"),
        ("a b[c d]e f", "whitespace", "a", "bc de", "f"),  # whole tokens
        ("我买了[苹果]手机", "characters", "我 买 了", "苹 果", "手 机"),
        ("the [ play ] ended", "en-1", "the", "play", "ended"),
    ],
)
def test_marks(text: str, kind: str, before: str, marked: str, after: str) -> None:
    query = read_query(text, kind)
    found = query.tokens[: query.start], query.marked, query.tokens[query.end :]
    assert [" ".join(part) for part in found] == [before, marked, after]
    assert query.n_marked == len(query.marked)


@pytest.mark.parametrize("text", ["no mark", "[]", "a [ ] b", "]a[", "[a] [b]", "[[a]]", "", "[a"])
def test_nothing_to_look_for(text: str) -> None:
    with pytest.raises(UsageError, match="expected a text such as"):
        read_query(text, "en-1")
