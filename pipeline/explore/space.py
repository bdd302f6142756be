"""A folder that runs as a Hugging Face Space: Baton, activations, models, and a Dockerfile that starts the explorer.

https://huggingface.co/docs/hub/spaces-sdks-docker says what such a folder needs, and which user it runs as.
"""

import shlex
import shutil
from importlib.metadata import version
from pathlib import Path

from pipeline.contract.exploring import ExplorePart
from pipeline.contract.load import load_part, shipped_task_names
from pipeline.errors import UserError
from pipeline.explore.serve import Wanted, open_bundles
from pipeline.files.atomic import cannot_write, write_atomically

PORT = 7860
_SOURCE = Path(__file__).resolve().parents[2]
_OWN = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "pipeline", "schemas", "stages", "runs/recipes")

_README = """\
---
title: {title}
sdk: docker
app_port: {port}
hf_oauth: true
---

What the layers of `{title}` know, on maps; served by `baton explore {task}`. Who logs in keeps what they make; with
persistent storage it outlives the Space.
"""

_DOCKERFILE = """\
FROM python:3.11-slim
RUN useradd --create-home --uid 1000 user
USER user
ENV PATH=/home/user/.local/bin:$PATH
WORKDIR /home/user/app
{install}
{copies}
EXPOSE {port}
CMD {command}
"""


def write_space(wanted: Wanted, folder: Path) -> list[str]:
    """Write it; names of what is in it. Raises UserError when the folder is not empty, or cannot be written."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UserError("a Space is written into a new folder", where=str(folder), remedy="give another one")
    bundles = open_bundles(wanted, load_part(wanted.task, ExplorePart))
    try:
        for number, bundle in enumerate(bundles.values()):
            _copy(bundle.folder, folder / "activations" / str(number))
        for number, model in enumerate(wanted.models):
            _copy(model, folder / "models" / f"{number}.inference_v1")
        if wanted.task not in shipped_task_names():  # one's own lies where one works
            _copy(Path("tasks", wanted.task), folder / "tasks" / wanted.task)
        install = _install(folder)
    except OSError as error:
        raise cannot_write(Path(error.filename or folder), error) from error
    title = next(iter(bundles.values())).manifest.title
    own = [name for name in ("activations", "models", "tasks") if (folder / name).is_dir()]
    copies = "\n".join(f"COPY --chown=user {name} {name}" for name in own)
    command = _command(wanted, len(bundles))
    dockerfile = _DOCKERFILE.format(install=install, copies=copies, command=command, port=PORT)
    write_atomically(folder / "Dockerfile", [dockerfile.encode()])
    write_atomically(folder / "README.md", [_README.format(title=title, task=wanted.task, port=PORT).encode()])
    return sorted(path.name for path in folder.iterdir())


def _install(folder: Path) -> str:
    """How the image gets Baton: from a copy of this checkout, else the version that is installed here."""
    extras = "[torch,web]"
    if not (_SOURCE / "pyproject.toml").is_file():
        return f"RUN pip install --no-cache-dir 'baton-pipeline{extras}=={version('baton-pipeline')}'"
    for name in _OWN:
        _copy(_SOURCE / name, folder / "baton" / name)
    return f"COPY --chown=user baton baton\nRUN pip install --no-cache-dir './baton{extras}'"


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copyfile(source, place)


def _command(wanted: Wanted, num_bundles: int) -> str:
    """What the image runs. What people make goes to the Space's persistent storage, where it has one."""
    parts = [f"baton explore {shlex.quote(wanted.task)}"]
    parts += [f"--activations activations/{number}" for number in range(num_bundles)]
    parts += [f"--model models/{number}.inference_v1" for number in range(len(wanted.models))]
    parts += [f"--generator {shlex.quote(wanted.generator)}"] if wanted.generator is not None else []
    parts += [f'--host 0.0.0.0 --port "${{PORT:-{PORT}}}"', '--out "$MADE"']
    return f"if [ -w /data ]; then MADE=/data/made; else MADE=$HOME/made; fi; exec {' '.join(parts)}"
