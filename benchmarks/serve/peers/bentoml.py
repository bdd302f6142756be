"""https://docs.bentoml.com/en/latest/get-started/hello-world.html"""

import os
import sys
from typing import Any

import bentoml

from benchmarks.serve.peers import Body, Localizer


@bentoml.service(workers=1)
class Localization:
    """Its worker is another process than the one that speaks HTTP."""

    def __init__(self) -> None:
        self.localizer = Localizer()

    @bentoml.api(route="/v1/predict", input_spec=Body)  # type: ignore[untyped-decorator]
    def predict(self, **fields: Any) -> dict[str, Any]:
        """A row."""
        return self.localizer(Body(**fields))


if __name__ == "__main__":
    place = "benchmarks.serve.peers.bentoml:Localization"
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", place, "--port", sys.argv[1]])
