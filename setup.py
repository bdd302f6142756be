"""What pyproject.toml cannot say: which folders of `runs/` come with Baton, and that they lie in the package as
`pipeline/shipped`, where `pipeline.recipe.named` finds them."""

from setuptools import find_namespace_packages, setup

SHIPPED = ["recipes*", "gates*", "sweeps*", "pretrained*"]

setup(
    packages=[
        *find_namespace_packages(include=["pipeline*", "stages*", "schemas*"]),
        *(f"pipeline.shipped.{folder}" for folder in find_namespace_packages("runs", include=SHIPPED)),
    ],
    package_dir={"pipeline.shipped": "runs"},
)
