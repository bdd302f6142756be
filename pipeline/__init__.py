"""The library behind the stages. Usable on its own: `from pipeline import load_model`."""

import importlib
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.model.brain import compile_brain
    from pipeline.model.compare import compare_models
    from pipeline.model.file import load_model

# Where each name lives. They are imported when they are first used, because they need torch, and most stages do not.
_HOMES = {
    "compare_models": "pipeline.model.compare",
    "compile_brain": "pipeline.model.brain",
    "load_model": "pipeline.model.file",
}

__all__ = ["UserError", "compare_models", "compile_brain", "load_model"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        what = f"{name} needs torch, which is not installed"
        raise UserError(what, remedy="pip install 'baton-pipeline[torch]'") from error
