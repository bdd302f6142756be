"""The decorators of this task's compiled functions.

numba notices changes of the file that a function is in and of no other, so compiled functions neither call compiled
functions of other files nor read numbers of other files as globals; they take them as arguments (`tables.Tables`).
What is left: after changing the order of actions, meters or the fields of `Tables`, delete `__pycache__`.

`_nrt=False` switches reference counting off: every array belongs to the caller, and a function that would allocate
one (copying a slice does) does not compile. Counting references on the many arrays of `Tables` took most of the time:
a step of one town of "full" took 281 ns with it and takes 53 ns without.
"""

from pipeline import compiled as machine_code

compiled = machine_code.compiled(_nrt=False)
inlined = machine_code.compiled(_nrt=False, forceinline=True)  # for parts of loops: `Tables` is large to pass
