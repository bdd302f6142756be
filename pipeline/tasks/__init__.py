"""One folder a task, and in it one file or folder for each verb of the pipeline (see `pipeline.contract.parts`).

Tasks of one's own are found as well: ``tasks/NAME`` in the folder one works in, which is imported as
``pipeline.tasks.NAME``. Processes that a stage starts work in the same folder, and find them there.
"""

import contextlib
from pathlib import Path

with contextlib.suppress(FileNotFoundError):  # the folder one works in may be gone
    own = str(Path.cwd() / "tasks")
    if own not in __path__:
        __path__.append(own)
