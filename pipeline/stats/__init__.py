"""Statistics over plain arrays: metrics, the intervals around them, comparisons of two subjects, curves."""

from pipeline.stats.comparisons import (
    holm,
    mean_probability_of_improvement_interval,
    paired_difference,
    paired_effect_size,
    paired_permutation_test,
    paired_ratio_of_means,
    paired_win_rate,
    probability_of_improvement,
    probability_of_improvement_interval,
)
from pipeline.stats.curves import Profile, SurvivalCurve, performance_profile, survival_curve
from pipeline.stats.intervals import (
    Bootstrap,
    Interval,
    Metric,
    bootstrap,
    percentile_interval,
    resample,
    resample_means,
    wilson,
)
from pipeline.stats.metrics import (
    Floats,
    interquartile_mean,
    interquartile_mean_terms,
    mean,
    median,
    rate,
    trimmed_mean,
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
    "paired_ratio_of_means",
    "paired_win_rate",
    "percentile_interval",
    "performance_profile",
    "probability_of_improvement",
    "probability_of_improvement_interval",
    "rate",
    "resample",
    "resample_means",
    "survival_curve",
    "trimmed_mean",
    "wilson",
]
