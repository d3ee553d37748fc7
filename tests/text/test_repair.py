"""Old print and hard-wrapped lines: whole words for the model, offsets of the original."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ner_elmo.text.repair import repaired_sentences
from ner_elmo.text.tokenizer import resolved, sentences

WRAPPED = st.text(alphabet=st.sampled_from("aVſé-¬\u00ad \n.B1"), max_size=40)


def test_parted_words_are_whole_and_their_spans_are_the_originals() -> None:
    text = "Der Ver-\nlag in Neu-¬\n hof, Nord-\nSüd, ſie."
    (tokens,) = repaired_sentences(text, resolved("de"), dehyphenate=True, fold_long_s=True)
    words = {token.form: text[token.start : token.end] for token in tokens}
    assert words["Verlag"] == "Ver-\nlag"
    assert words["sie"] == "ſie"
    assert "Nord" in words or "Nord-" in words or "Nord-\nSüd" not in words.values()


@given(text=WRAPPED)
def test_every_token_has_its_place(text: str) -> None:
    done = 0
    for sentence in repaired_sentences(text, "en-1", dehyphenate=True, fold_long_s=True):
        for token in sentence:
            assert done <= token.start < token.end <= len(text)
            assert text[token.start] != "\n"
            done = token.end
    assert repaired_sentences(text, "en-1") == sentences(text, "en-1")
