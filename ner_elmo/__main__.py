"""``python -m ner_elmo`` is ``ner-elmo``."""

import sys


def run() -> None:
    """Run the command line and leave with its exit status."""
    from ner_elmo.cli.main import main

    sys.exit(main())


if __name__ == "__main__":
    run()
