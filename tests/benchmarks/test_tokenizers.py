"""Treebanks as gold of the tokenizers: surface tokens, their places, halves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

TREEBANK = """# sent_id = 1
# text = Il va au parc.
1\tIl\til\t_\t_\t_\t_\t_\t_\t_
2\tva\taller\t_\t_\t_\t_\t_\t_\t_
3-4\tau\t_\t_\t_\t_\t_\t_\t_\t_
3\tà\tà\t_\t_\t_\t_\t_\t_\t_
4\tle\tle\t_\t_\t_\t_\t_\t_\t_
5\tparc\tparc\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
5.1\tva\taller\t_\t_\t_\t_\t_\t_\t_
6\t.\t.\t_\t_\t_\t_\t_\t_\t_

# text = L'eau dort
1\tL'\tle\t_\t_\t_\t_\t_\t_\tX=1|SpaceAfter=No
2\teau\teau\t_\t_\t_\t_\t_\t_\t_
3\tdort\tdormir\t_\t_\t_\t_\t_\t_\t_
"""


@pytest.fixture
def tokenizers(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("tokenizers")


@pytest.mark.parametrize("language", ["fr", "zh"])
def test_a_treebank_is_one_text_of_surface_tokens(tokenizers: ModuleType, tmp_path: Path, language: str) -> None:
    (tmp_path / f"{language}_x-ud-test.conllu").write_text(TREEBANK, encoding="utf-8")
    gold = tokenizers.read_treebank(language, tmp_path)
    between = "" if language == "zh" else " "
    assert gold.text == f"Il va au parc.{between}L'eau dort"
    assert {gold.text[slice(*span)] for span in gold.sentences} == {"Il va au parc.", "L'eau dort"}
    tokens = [gold.text[slice(*span)] for span in sorted(gold.tokens)]
    assert tokens == ["Il", "va", "au", "parc", ".", "L'", "eau", "dort"]
    halves = [tokenizers.read_treebank(language, tmp_path, half).text for half in (1, 2)]
    assert halves == ["Il va au parc.", "L'eau dort"]
    with pytest.raises(ValueError, match=r"found no de\*\.conllu"):
        tokenizers.read_treebank("de", tmp_path)


def test_scores_and_differences(tokenizers: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "fr.conllu").write_text(TREEBANK.replace("5\tparc", "5\tM.parc"), encoding="utf-8")
    gold = tokenizers.read_treebank("fr", tmp_path)
    of_sentences, of_tokens = tokenizers.scores(gold, "fr")
    assert of_sentences == (1.0, 1.0)
    assert max(of_tokens) < 1
    assert "- M.parc" in tokenizers.differences(gold, "fr")
