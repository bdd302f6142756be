"""The short form of `reload_under_load`: what it finds is the same, the times are those of the long run."""

import shutil
from pathlib import Path

import pytest

from tests.serve.reload.under_load import run
from tests.support.zygote import Zygote
from tests.tasks.localization.small import LEVELS, export_small, recipe

needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="there is no wrk: apt-get install wrk")


@needs_wrk
def test_no_request_fails_while_models_are_swapped_and_bad_ones_are_refused(zygote: Zygote, tmp_path: Path) -> None:
    report = run(zygote, export_small(tmp_path / "train", recipe(LEVELS)), tmp_path, seconds=4, every_s=0.25)
    assert report.steady.num_failed == report.reloading.num_failed == 0
    assert report.wrong == [] and report.num_rows_wrong == 0
    assert {*report.outcomes} == {"swapped", "refused"} and report.outcomes["refused"] == report.num_refused == 3
    assert len(report.checked) == 2 and report.num_rows > report.reloading.num_requests / 2
