"""The parser, compiled: reads the code points of a text into rows of numbers, of which `parse` makes objects.

Every function takes arrays that belong to the caller and returns numbers, so that numba can compile it; without numba's
compiler (``NUMBA_DISABLE_JIT=1``) it is plain Python and does the same, a thousand times slower.
"""
