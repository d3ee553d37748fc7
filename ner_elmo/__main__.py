"""``python -m ner_elmo`` is ``ner-elmo``."""

import gc
import os
import sys


def run() -> None:
    """Run the command line and leave with its exit status."""
    try:
        from ner_elmo.cli.main import main
        from ner_elmo.runs.launch import is_launched

        status = main()
    except KeyboardInterrupt:  # while the program itself was being loaded
        sys.stderr.write("ner-elmo: interrupted\n")
        sys.exit(130)
    if is_launched():
        # Everything is written and closed, and the processes have parted. What is left is to tear down torch, whose
        # threads now and then abort one of several processes there, and its exit status with it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    gc.freeze()  # what is left is not looked through once more before it goes
    sys.exit(status)


if __name__ == "__main__":
    run()
