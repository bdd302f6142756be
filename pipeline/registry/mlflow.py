"""The model registry of an MLflow server, by plain HTTP: its aliases, not its deprecated stages.

The REST interface is https://mlflow.org/docs/latest/rest-api.html. Files are downloaded from the server itself (its
default, ``--serve-artifacts``), into a folder of Baton's cache where they are called by their hash. A version that
others made holds one inference_v1 file, or a folder with one.
"""

import os
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from pipeline.errors import UserError
from pipeline.files import cache
from pipeline.files.atomic import write_atomically
from pipeline.files.hashes import sha256_file
from pipeline.model.container import ModelFile, describe
from pipeline.registry.entry import SUFFIX, RegistryUnreachable, Version, check_alias, no_such_version

API = "api/2.0/mlflow"
ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
TIMEOUT = httpx.Timeout(30.0, connect=3.0)
TAGS = {"sha256": "baton.sha256", "weights_hash": "baton.weights_hash", "task": "baton.task"}


class MlflowRegistry:
    """A `pipeline.registry.entry.Registry` on the server at ``address``, such as ``http://127.0.0.1:5000``.

    MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, say who asks, as they do for
    MLflow's own client.
    """

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
        self._client = httpx.Client(
            base_url=self._address,
            timeout=TIMEOUT,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            auth=(user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user and not token else None,
        )

    @property
    def where(self) -> str:
        """The server's address, without the password that may be in it."""
        parts = urlsplit(self._address)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(model["name"] for model in self._pages("registered-models/search", "registered_models"))

    def versions(self, name: str) -> list[Version]:
        """All versions, the oldest first. Raises UserError on an unknown name."""
        aliases = self._aliases(name)
        return [
            Version(
                name=name,
                version=found["version"],
                weights_hash=_tag(found, "weights_hash"),
                task=_tag(found, "task"),
                created_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(found["creation_timestamp"]) / 1000)),
                aliases=[alias for alias, version in aliases.items() if version == found["version"]],
            )
            for found in self._versions(name)
        ]

    def resolve(self, name: str, asked: str) -> str:
        """The version that an alias names; a version names itself. Raises UserError where there is none."""
        aliases = self._aliases(name)
        if asked in aliases:
            return aliases[asked]
        known = [found["version"] for found in self._versions(name)]
        if asked not in known:
            raise no_such_version(name, asked, [*aliases, *known], self.where)
        return asked

    def fetch(self, name: str, version: str) -> Path:
        """The file of a version, downloaded if it is not here yet. Raises UserError when its hashes do not match."""
        found = self._call("GET", "model-versions/get", name=name, version=version)["model_version"]
        folder, hashed = cache.folder() / "models", _tag(found, "sha256")
        if hashed and (folder / f"{hashed}{SUFFIX}").exists() and sha256_file(folder / f"{hashed}{SUFFIX}") == hashed:
            return folder / f"{hashed}{SUFFIX}"
        source = self._call("GET", "model-versions/get-download-uri", name=name, version=version)["artifact_uri"]
        data = self._send("GET", f"{ARTIFACTS}/{self._file_in(self._artifact_path(source))}").content
        got = sha256(data).hexdigest()
        if hashed not in (None, got):
            what = f"the file of {name} version {version} does not match the hash that it was added with"
            raise UserError(what, where=self.where, remedy="add the model again: baton registry add")
        write_atomically(folder / f"{got}{SUFFIX}", [data])
        ModelFile(folder / f"{got}{SUFFIX}").verify()
        return folder / f"{got}{SUFFIX}"

    def add(self, name: str, path: Path) -> str:
        """Upload a model file as the artifact of a run, and make a version of it; a file that is there is found."""
        about, hashed = describe(path), sha256_file(path)
        names = self.names()
        for found in self._versions(name) if name in names else ():
            if _tag(found, "sha256") == hashed:
                return str(found["version"])
        if name not in names:
            self._call("POST", "registered-models/create", name=name)
        asked = {"experiment_id": "0", "run_name": f"baton registry add {name}", "start_time": int(time.time() * 1000)}
        run = self._call("POST", "runs/create", **asked)["run"]["info"]
        target = f"{ARTIFACTS}/{self._artifact_path(run['artifact_uri'])}/model/{name}{SUFFIX}"
        with open(path, "rb") as file:
            self._send("PUT", target, content=file)
        self._call("POST", "runs/update", run_id=run["run_id"], status="FINISHED")
        tags = {TAGS["sha256"]: hashed, TAGS["weights_hash"]: about["weights_hash"], TAGS["task"]: about["task"] or ""}
        made = self._call(
            "POST",
            "model-versions/create",
            name=name,
            source=f"{run['artifact_uri']}/model",
            run_id=run["run_id"],
            tags=[{"key": key, "value": value} for key, value in tags.items()],
        )
        return str(made["model_version"]["version"])

    def set_alias(self, name: str, alias: str, version: str) -> str | None:
        """Let an alias name a version; returns the version before. Raises UserError."""
        before = self._aliases(name).get(check_alias(alias))
        version = self.resolve(name, version)
        self._call("POST", "registered-models/alias", name=name, alias=alias, version=version)
        return before

    def _aliases(self, name: str) -> dict[str, str]:
        model = self._call("GET", "registered-models/get", name=name)["registered_model"]
        return {one["alias"]: one["version"] for one in model.get("aliases", ())}

    def _versions(self, name: str) -> list[dict[str, Any]]:
        quoted = name.replace("'", "\\'")
        found = self._pages("model-versions/search", "model_versions", filter=f"name='{quoted}'")
        return sorted(found, key=lambda one: int(one["version"]))

    def _pages(self, route: str, key: str, **asked: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._call("GET", route, **asked, **({"page_token": token} if token else {}))
            yield from page.get(key, ())
            token = page.get("next_page_token", "")
            if not token:
                return

    def _artifact_path(self, uri: str) -> str:
        """The path below `ARTIFACTS` of what a version, a run or a logged model says of where its files are."""
        parts = urlsplit(uri)
        if parts.scheme == "runs":
            run, _, rest = parts.path.strip("/").partition("/")
            info = self._call("GET", "runs/get", run_id=run)["run"]["info"]
            return f"{self._artifact_path(info['artifact_uri'])}/{rest}"
        if parts.scheme == "models" and parts.path.startswith("/m-"):
            model = self._call("GET", f"logged-models{parts.path}")["model"]["info"]
            return self._artifact_path(model["artifact_uri"])
        if parts.scheme != "mlflow-artifacts":
            what = f"the server does not give out its files itself: they are in {uri}"
            raise UserError(what, where=self.where, remedy="start it with --serve-artifacts, which is its default")
        return parts.path.strip("/")

    def _file_in(self, path: str) -> str:
        """The one inference_v1 file at a path or in the folder there. Raises UserError."""
        if path.endswith(SUFFIX):
            return path
        files = self._send("GET", ARTIFACTS, params={"path": path}).json().get("files", ())
        found = [file["path"].rpartition("/")[2] for file in files if file["path"].endswith(SUFFIX)]
        if len(found) != 1:
            what = f"there are {len(found)} inference_v1 files in the version, one is expected"
            raise UserError(what, where=f"{self.where}: {path}", remedy="add it with: baton registry add NAME FILE")
        return f"{path}/{found[0]}"

    def _call(self, method: str, route: str, **asked: Any) -> dict[str, Any]:
        more: dict[str, Any] = {"params": asked} if method == "GET" else {"json": asked}
        try:
            answer: dict[str, Any] = self._send(method, f"{API}/{route}", **more).json()
        except ValueError as error:
            what = "what answers there is no MLflow server"
            raise UserError(what, where=self.where, remedy="check the address (MLFLOW_URI)") from error
        return answer

    def _send(self, method: str, route: str, **more: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, route, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        if answer.status_code != 200:
            raise self._refused(answer)
        return answer

    def _unreachable(self, error: Exception) -> UserError:
        what = f"the MLflow server does not answer: {error or type(error).__name__}"
        return RegistryUnreachable(what, where=self.where, remedy="start it, or check the address (MLFLOW_URI)")

    def _refused(self, answer: httpx.Response) -> UserError:
        if answer.status_code >= 500:
            return self._unreachable(RuntimeError(f"status {answer.status_code}"))
        try:
            said = answer.json()["message"]
        except (ValueError, KeyError, TypeError):
            said = f"status {answer.status_code}"
        return UserError(f"the MLflow server refused: {said}", where=self.where, remedy="baton registry list")


def _tag(version: dict[str, Any], name: str) -> str | None:
    return next((tag["value"] for tag in version.get("tags", ()) if tag["key"] == TAGS[name]), None)
