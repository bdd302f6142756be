"""Comparing predictions: joined by record, with paired intervals and tests, and the records that make the difference.

- `reading`, `joining`: files to the records that all of them answer
- `paired`, `pooled`: intervals and tests; `judging`: rows of them, with verdicts
- `checkpoints`: families of rows; forgetting and overfitting over the checkpoints of a training
- `moving`: the records that moved a metric
- `telling`, `figures`, `figures_slices`, `drawing`, `pages`: tables, figures, the report
- `run`: all of it together, which is what the command does
"""

from pipeline.compare.run import (
    REPORT,
    WRITES,
    ComparisonJob,
    compare_files,
    config,
    inputs,
    run_comparison,
    settings,
    show,
)

__all__ = [
    "REPORT",
    "WRITES",
    "ComparisonJob",
    "compare_files",
    "config",
    "inputs",
    "run_comparison",
    "settings",
    "show",
]
