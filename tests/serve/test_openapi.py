"""Bodies that nobody thought of, generated from the server's own description of itself."""

import subprocess
import sys
from pathlib import Path

from tests.serve.conftest import Server, Start
from tests.serve.test_answer import model_of

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)


def generated(server: Server, folder: Path, num: int, phases: str = "examples,coverage,fuzzing") -> None:
    """``num`` requests for each route, and in the phase "coverage" those at the edges of what the description says."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--seed", "1"]
    command += [
        "--max-examples",
        str(num),
        "--checks",
        ",".join(CHECKS),
        "--phases",
        phases,
        "--request-timeout",
        "120",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_body_breaks_a_server_or_its_word(server: Server, tmp_path: Path) -> None:
    generated(server, tmp_path, 10)
    assert server.errors == ""


def test_no_body_breaks_a_server_that_takes_images_and_truths(start: Start, tmp_path: Path) -> None:
    server = start("detection", "--model", model_of("detection"))
    generated(server, tmp_path, 5, "fuzzing")  # each takes longer: the model writes text
    assert server.errors == ""
