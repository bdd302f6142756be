"""Which registry is meant: a folder, or an MLflow server."""

from pathlib import Path

from pipeline.errors import UserError
from pipeline.registry.entry import Registry
from pipeline.registry.folder import FolderRegistry

SCHEMES = {"mlflow": "http", "mlflow+http": "http", "mlflow+https": "https", "http": "http", "https": "https"}


def open_registry(place: str | Path) -> Registry:
    """A folder by its path, an MLflow server by its address: ``mlflow://host:5000``, ``https://host``.

    Nothing is read yet. Raises UserError on an address of another kind.
    """
    scheme, separator, rest = str(place).partition("://")
    if not separator:
        return FolderRegistry(Path(place))
    if scheme not in SCHEMES:
        raise UserError(
            f"there is no registry at {scheme}://", where=str(place), remedy="mlflow://HOST:PORT, or a folder"
        )
    from pipeline.registry.mlflow import MlflowRegistry  # here: who has a folder need not wait for httpx

    return MlflowRegistry(f"{SCHEMES[scheme]}://{rest}")
