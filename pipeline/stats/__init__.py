"""Statistics over plain arrays: metrics, the intervals around them, comparisons of two subjects, curves."""

from pipeline.stats.curves import Profile, SurvivalCurve, performance_profile, survival_curve
from pipeline.stats.intervals import (
    Bootstrap,
    Interval,
    Metric,
    bootstrap,
    percentile_interval,
    resample,
    wilson,
)
from pipeline.stats.means import resample_columns, resample_means
from pipeline.stats.metrics import (
    Floats,
    interquartile_mean,
    interquartile_mean_terms,
    mean,
    median,
    rate,
    trimmed_mean,
)
from pipeline.stats.pairs import (
    holm,
    mean_probability_of_improvement_interval,
    paired_difference,
    paired_effect_size,
    paired_permutation_test,
    paired_probability_of_improvement_interval,
    paired_ratio_of_means,
    paired_win_rate,
    probability_of_improvement,
    probability_of_improvement_interval,
)

__all__ = [
    "Bootstrap",
    "Floats",
    "Interval",
    "Metric",
    "Profile",
    "SurvivalCurve",
    "bootstrap",
    "holm",
    "interquartile_mean",
    "interquartile_mean_terms",
    "mean",
    "mean_probability_of_improvement_interval",
    "median",
    "paired_difference",
    "paired_effect_size",
    "paired_permutation_test",
    "paired_probability_of_improvement_interval",
    "paired_ratio_of_means",
    "paired_win_rate",
    "percentile_interval",
    "performance_profile",
    "probability_of_improvement",
    "probability_of_improvement_interval",
    "rate",
    "resample",
    "resample_columns",
    "resample_means",
    "survival_curve",
    "trimmed_mean",
    "wilson",
]
