"""https://fastapi.tiangolo.com/tutorial/body/"""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI

from benchmarks.serve.peers import Body, Localizer

app, localizer = FastAPI(), Localizer()


@app.post("/v1/predict")  # type: ignore[untyped-decorator]  # untyped where it is not installed
async def predict(body: Body) -> dict[str, Any]:
    """A row."""
    return localizer(body)


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="critical")
