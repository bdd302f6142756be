"""One decorator for the compiled functions of this task."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


# The type hints of numba do not know `_nrt`.
_njit: Any = numba.njit


def compiled(function: Function) -> Function:
    """Compile with numba at the first call and keep the machine code on disk.

    Not `fastmath`: results equal plain Python floats bit for bit. The cache notices changes of the file
    the function is in and of no other, so compiled functions neither call compiled functions of other
    files nor read numbers of other files as globals; they take them as arguments (`tables.Tables`).
    What is left: after changing the order of actions, meters or the fields of `Tables`, or this decorator,
    delete `__pycache__`.

    `_nrt=False` switches reference counting off: every array belongs to the caller, and a function that
    would allocate one (copying a slice does) does not compile. Counting references on the many arrays of
    `Tables` took most of the time: a step of one town of "full" took 281 ns with it and takes 53 ns without.
    """
    return cast(Function, _njit(cache=True, error_model="numpy", _nrt=False)(function))


def inlined(function: Function) -> Function:
    """`compiled`, for the parts of a compiled loop: always inlined, because `Tables` is large to pass."""
    return cast(Function, _njit(cache=True, error_model="numpy", _nrt=False, forceinline=True)(function))
