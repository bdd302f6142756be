"""What needs no Ray; `ray_cluster.py` has the rest."""

import sys
from pathlib import Path

import pytest

from stages.__main__ import dispatch

MODEL = Path("runs/pretrained/localization/levels.inference_v1")


@pytest.mark.parametrize("package", ["ray", "ray.serve"])
def test_without_ray_the_command_says_what_to_install(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    log = tmp_path / "log"
    assert dispatch(["serve", "localization", "--model", str(MODEL), "--engine", "ray", "--log", str(log)]) == 2
    told = capsys.readouterr().err
    assert "Ray Serve is not installed" in told and "--engine ray" in told
    assert "pip install 'baton-pipeline[ray]'" in told
    assert not log.exists()
