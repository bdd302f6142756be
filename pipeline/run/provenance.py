"""With what a stage runs: command line, git commit, versions of the libraries, machine."""

import os
import platform
import subprocess
import sys
from pathlib import Path

from schemas.manifest import Provenance

_ROOT = Path(__file__).resolve().parents[2]
_LIBRARIES = (
    "baton-pipeline",
    "gymnasium",
    "httpx",
    "matplotlib",
    "msgspec",
    "numba",
    "numpy",
    "onnx",
    "onnxruntime",
    "orjson",
    "pillow",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "zstandard",
)


def provenance(device: str, num_threads: int) -> Provenance:
    """What is running now. Imports none of the libraries it names; takes about 40 ms, half of it git."""
    commit, dirty = _git()
    return Provenance(
        command=command_line(),
        git_commit=commit,
        git_dirty=dirty,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions=_versions(),
        device=device,
        num_threads=num_threads,
    )


def command_line() -> list[str]:
    """This process's command as one would type it: ``baton infer ...`` or ``python -m stages.infer ...``."""
    program, *arguments = sys.argv or ["python"]
    path = Path(program)
    if path.parent.name == "stages" and path.suffix == ".py":
        return ["baton", *arguments] if path.stem == "__main__" else ["python", "-m", f"stages.{path.stem}", *arguments]
    return [path.name, *arguments]


def _versions() -> dict[str, str]:
    from importlib import metadata  # here: takes 30 ms, and most commands (--help, follow) write no manifest

    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git() -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the checkout this code lies in; None where it is installed from a package."""
    if not (_ROOT / ".git").exists():  # a surrounding repository (a virtual environment in it) is not ours
        return None, None
    try:
        commit = _run_git("rev-parse", "HEAD")
        return commit, bool(_run_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):  # no git, no commit yet, or a checkout of another user
        return None, None


def _run_git(*arguments: str) -> str:
    # Optional locks off: a status must not contend with a commit that runs at the same moment.
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(
        ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=True, timeout=10, env=environment
    )
    return done.stdout.strip()
