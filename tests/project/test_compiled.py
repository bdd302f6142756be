"""Compiled functions where there is no place to keep machine code."""

import os
import subprocess
import sys

from tests.conftest import ROOT

CODE = """
from pipeline.compiled import compiled

@compiled()
def twice(number):
    return 2 * number

print(twice(21), len(twice.signatures))
"""


def test_a_function_is_compiled_where_no_folder_can_be_written() -> None:
    nowhere = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "NUMBA_CACHE_DIR": os.devnull + "/nothing"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("42 1\n", 0), done.stderr
