"""``baton``: picks the stage and loads nothing else.

``baton --help`` lists the stages from `schemas.flow`; ``baton STAGE ...`` imports ``stages/STAGE.py`` and hands over
the rest of the command line, so each command starts as fast as its own imports. ``python -m stages.STAGE`` is the same.
"""

import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from pipeline.errors import UserError
from schemas.flow import BY_NAME, STAGES

USAGE = """\
Usage: baton STAGE TASK --recipe NAME [OPTIONS]

A staged batch pipeline for model checkpoints: every stage is a command of its own,
and all that passes between them is files.

Stages:
{stages}

Options:
  --version  Print the version and exit.
  --help     Print this message and exit.

Example: baton train gridworld --recipe full
What a stage takes: baton STAGE --help"""


def main() -> NoReturn:
    """Entry point of the ``baton`` command."""
    sys.exit(dispatch(sys.argv[1:]))


def dispatch(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    first = arguments[0] if arguments else ""
    if first in ("", "--help", "-h"):
        print(usage(), file=sys.stdout if first else sys.stderr)
        return 0 if first else 2
    if first == "--version":
        print(f"baton {version()}")
        return 0
    if first not in BY_NAME:
        print(f"error: {unknown_stage(first)}", file=sys.stderr)
        return 2
    common = importlib.import_module("stages.common")
    stage = importlib.import_module(f"stages.{first}")
    return int(common.run_command(stage.app, arguments[1:]))


def usage() -> str:
    """The text of ``baton --help``."""
    width = max(len(stage.name) for stage in STAGES)
    return USAGE.format(stages="\n".join(f"  {stage.name:<{width}}  {stage.summary}" for stage in STAGES))


def version() -> str:
    """Installed version of Baton."""
    from importlib.metadata import version as installed  # loaded here: no other command line needs it

    return installed("baton-pipeline")


def unknown_stage(name: str) -> UserError:
    """The error for a stage that does not exist, with the nearest name."""
    close = difflib.get_close_matches(name, BY_NAME, n=1)
    remedy = f"did you mean `baton {close[0]}`?" if close else f"stages: {', '.join(BY_NAME)}"
    return UserError(f"there is no stage {name!r}", remedy=remedy)


if __name__ == "__main__":
    main()
