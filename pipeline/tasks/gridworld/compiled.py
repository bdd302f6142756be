"""One decorator for the compiled functions of this task."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile with numba at the first call and keep the machine code on disk.

    Not `fastmath`: results equal plain Python floats bit for bit. The cache notices changes of the file
    the function is in and of no other, so compiled functions neither call compiled functions of other
    files nor read numbers of other files as globals; they take them as arguments (`rules.Tables`).
    """
    return cast(Function, numba.njit(cache=True, error_model="numpy")(function))
