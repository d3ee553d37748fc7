"""The documentation's tables of settings: ``python -m ner_elmo.cli.reference > docs/settings.md``."""

from __future__ import annotations

import sys

from ner_elmo.bilm.pretraining.config import PretrainConfig
from ner_elmo.service.settings import ServeSettings
from ner_elmo.settings import as_markdown
from ner_elmo.tagger.tagging.settings import TagSettings
from ner_elmo.tagger.training.config import TaggerConfig
from ner_elmo.text.formats.conll import Reading

_HEAD = """# Settings

Made from the settings themselves by `python -m ner_elmo.cli.reference`; do not edit it by hand.

The first column is the key in a configuration file (`--config FILE`, JSON or TOML; a few keys are enough) and in
Python. Flags override the file. A run writes all settings as they took effect to `config.json`, and `--resume` reads
them there.
"""


def settings_page() -> str:
    """``docs/settings.md``."""
    parts = [
        ("`ner-elmo pretrain`", PretrainConfig),
        ("`ner-elmo train-tagger`", TaggerConfig),
        ("`ner-elmo tag`", TagSettings),
        ("`ner-elmo serve`", ServeSettings),
        ("Labelled files: `check`, `convert`, `evaluate`", Reading),
    ]
    return _HEAD + "".join(f"\n## {title}\n\n{as_markdown(owner)}" for title, owner in parts)


if __name__ == "__main__":
    sys.stdout.write(settings_page())
