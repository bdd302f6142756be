"""Statistics over plain arrays: metrics, the intervals around them, comparisons of two subjects, curves."""

from pipeline.stats.curves import performance_profile, survival_curve
from pipeline.stats.intervals import Bootstrap, Interval, bootstrap, percentile_interval, quantile, resample, wilson
from pipeline.stats.means import resample_columns, resample_means
from pipeline.stats.metrics import Floats, interquartile_mean, interquartile_mean_terms, mean, median
from pipeline.stats.pairs import (
    holm,
    paired_permutation_test,
    paired_probability_of_improvement_interval,
    paired_win_rate,
)

__all__ = [
    "Bootstrap",
    "Floats",
    "Interval",
    "bootstrap",
    "holm",
    "interquartile_mean",
    "interquartile_mean_terms",
    "mean",
    "median",
    "paired_permutation_test",
    "paired_probability_of_improvement_interval",
    "paired_win_rate",
    "percentile_interval",
    "performance_profile",
    "quantile",
    "resample",
    "resample_columns",
    "resample_means",
    "survival_curve",
    "wilson",
]
