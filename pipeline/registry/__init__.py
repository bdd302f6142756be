"""Where models are kept under names, versions and aliases: a folder, or an MLflow server."""
