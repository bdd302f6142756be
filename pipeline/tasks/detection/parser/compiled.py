"""How the functions of this folder are compiled: all of them into one, which is kept on disk."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import types

from pipeline.compiled import compiled

Function = TypeVar("Function", bound=Callable[..., Any])

_config: Any = numba.config
_njit: Any = numba.njit


def part(function: Function) -> Function:
    """Compiled together with what calls it; once, and not again for every constant that it is called with."""
    if _config.DISABLE_JIT:
        return function
    dispatcher = _njit(error_model="numpy", _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    template_for = dispatcher.get_call_template

    def without_constants(args: Any, kws: Any) -> Any:
        return template_for(tuple(map(types.unliteral, args)), kws)

    dispatcher.get_call_template = without_constants
    return cast(Function, dispatcher)


def whole(function: Function) -> Function:
    """Compiled with all that it calls, at the first call, and kept on disk.

    numba notices changes of the file that ``function`` is in and of no other, but also of what it closes over: let it
    close over `fingerprint`.
    """
    return compiled(_nrt=False)(function)  # references are not counted: every array is the caller's


def fingerprint() -> int:
    """A number that changes with any source file of this folder."""
    digest = hashlib.blake2b(digest_size=7)
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return int.from_bytes(digest.digest())
