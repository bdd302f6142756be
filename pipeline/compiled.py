"""numba's compiler, as the project uses it."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

_njit: Any = numba.njit  # its type hints do not know `_nrt` and other options


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function at its first call, and keep the machine code on disk where there is a place for it.

    That is ``__pycache__`` beside the source or, where that cannot be written, the user's cache folder. Where neither
    can be (a container without a home), numba refuses to compile; here each process compiles anew. ``options`` are
    those of `numba.njit`. Not `fastmath`: results equal plain Python floats bit for bit.
    """

    def decorate(function: Function) -> Function:
        try:
            return cast(Function, _njit(cache=True, error_model="numpy", **options)(function))
        except RuntimeError:
            return cast(Function, _njit(error_model="numpy", **options)(function))

    return decorate


# Kernels: every array belongs to the caller, so that references are not counted, and a function that would allocate an
# array (copying a slice does) does not compile. Counting references on the many arrays of gridworld's `Tables` took
# most of the time: a step of one town of "full" took 281 ns with it and takes 53 ns without.
#
# numba notices changes of the file that a function is in and of no other. So kernels neither call kernels of other
# files nor read numbers of other files as globals; they take them as arguments. What is left: after changing the order
# of gridworld's actions, meters or fields of `Tables`, delete `__pycache__`.
kernel = compiled(_nrt=False)
inlined = compiled(_nrt=False, forceinline=True)  # for parts of loops: `Tables` is large to pass
