"""https://lightning.ai/docs/litserve/home/get-started"""

import sys
from typing import Any

import litserve

from benchmarks.serve.peers import Body, Localizer


class Api(litserve.LitAPI):  # type: ignore[misc]  # untyped where it is not installed
    """Its worker is another process than the one that speaks HTTP."""

    def setup(self, device: str) -> None:
        """Load."""
        self.localizer = Localizer()

    def decode_request(self, request: Body) -> Body:
        """What was checked."""
        return request

    def predict(self, body: Body) -> dict[str, Any]:
        """A row."""
        return self.localizer(body)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(Api(api_path="/v1/predict"), accelerator="cpu")
    server.run(port=int(sys.argv[1]), generate_client_file=False, log_level="critical")
