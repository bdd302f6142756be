"""Sweeps: a grid of cells, each run once by one of many workers, and one table over all of them.

- `grid` reads the sweep file and makes a `Plan` of it: cells, and the parts (trainings, exports) that they share
- `keys` says what a cell is, by the content of all that goes into it
- `claims` sees to it that a cell has one worker, on whichever machine
- `ledger` records what happens, and says what is settled
- `steps` runs one stage as a process of its own
- `workers` takes cells until there are none left
- `table` and `pictures` say what came of it
"""
