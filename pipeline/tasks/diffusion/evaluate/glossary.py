"""Every metric of this task, defined."""

from pipeline.contract.metrics import MetricDefinition, TableColumn, TableLayout

POOLED = "pooled"  # the statistic of what is taken over all images together
MODEL, REAL = "model", "real"
_HALVES = 'Of subject "real": between two halves of the real images, which are half as many.'

GLOSSARY = (
    MetricDefinition(
        "accuracy", "1", "higher", "share of images that the judge takes for the class that was asked for; of subject "
        '"real", of the held-out real images beside: how often the judge is right; by value: that it sees this one '
        "thing, where a class says several"),
    MetricDefinition(
        "label_probability", "1", "higher", "probability that the judge gives the class that was asked for"),
    MetricDefinition(
        "frechet_distance", "1", "lower", "squared Frechet distance between normal distributions fitted to the judge's "
        "features of generated and of real images (Heusel et al. 2017, with the judge in place of Inception). It grows "
        f"as images become fewer. {_HALVES}"),
    MetricDefinition(
        "kernel_distance", "1", "lower", "unbiased squared maximum mean discrepancy of the cubic kernel between the "
        f"judge's features of generated and of real images (Binkowski et al. 2018). {_HALVES}"),
    MetricDefinition(
        "precision", "1", "higher", "share of generated images in the manifold of the real ones: nearer to one, in the "
        "judge's features, than its k-th nearest real neighbour is (Kynkaanniemi et al. 2019). "
        f"{_HALVES}"),
    MetricDefinition(
        "recall", "1", "higher", f"share of real images in the manifold of the generated ones. {_HALVES}"),
    MetricDefinition(
        "diversity", "1", "neither", "mean distance, in the judge's features, between two images of one class"),
    MetricDefinition(
        "diversity_ratio", "1", "neither", "diversity of generated images over that of the real ones: 1 is as diverse"),
    MetricDefinition(
        "nearest_train_distance", "1", "neither", "root mean square difference to the nearest training image, in the "
        'principal components of those; of subject "real", of held-out images. Where generated images are nearer '
        "than held-out ones, training images were learned by heart"),
    MetricDefinition(
        "steered_accuracy", "1", "higher", "share of steered images that the judge takes for the class of the "
        "references, as far as that is another than the model was told; by variant: what it was told, and how many "
        "steps were masked"),
    MetricDefinition(
        "kept_accuracy", "1", "higher", "share of steered images in which the judge sees what the references' class "
        "and the class that the model was told both say, such as the place where only the colour is to change"),
    MetricDefinition(
        "trustworthiness", "1", "higher", "how far neighbours on the map are neighbours in the layer's principal "
        "components, 1 at best (Venna and Kaski 2001), of 12 neighbours"),
    MetricDefinition(
        "shared_neighbours", "1", "higher", "share of the 12 nearest images that are the same on the map and in the "
        "layer's principal components"),
    MetricDefinition(
        "neighbour_purity", "1", "neither", "share of the 5 nearest images, in the layer's principal components, that "
        "the judge takes for the same class: what the layer knows of it"),
    MetricDefinition("num_evaluations", "1", "lower", "calls of the network for an image"),
    MetricDefinition("num_errors", "1", "lower", "requests that could not be answered"),
)  # fmt: skip
BY_NAME = {definition.name: definition for definition in GLOSSARY}

TABLE = TableLayout(
    columns=(
        TableColumn(metric="accuracy", statistic="rate", heading="right class"),
        TableColumn(metric="frechet_distance", statistic=POOLED, heading="Frechet"),
        TableColumn(metric="kernel_distance", statistic=POOLED, heading="kernel"),
        TableColumn(metric="precision", statistic="rate", heading="precision"),
        TableColumn(metric="recall", statistic="rate", heading="recall"),
        TableColumn(metric="diversity", statistic=POOLED, heading="diversity"),
        TableColumn(metric="nearest_train_distance", statistic="mean", heading="nearest train"),
    ),
    bar=REAL,
)
