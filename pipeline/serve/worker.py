"""What each worker of a server begins with: the application, made from the settings that the server left."""

import os
import signal
import sys
from pathlib import Path

from pipeline.contract.serving import Answerer
from pipeline.errors import UserError
from pipeline.serve.adapters import Asgi, Rsgi
from pipeline.serve.answer import open_answerer
from pipeline.serve.application import Application, section_of
from pipeline.serve.exchange import exchange_of
from pipeline.serve.metrics import Metrics
from pipeline.serve.models import Models
from pipeline.serve.reload.proof import Prover
from pipeline.serve.reload.source import source_of
from pipeline.serve.reload.state import State
from pipeline.serve.settings import leave_failure, read_settings, state_folder

# A new model is loaded and proven in a thread beside the event loop, which gets the interpreter back after so long.
# Python's own 5 ms would be more than most requests take.
SWITCH_INTERVAL_S = 5e-4


def application() -> Application:
    """What a worker answers with, made from the settings that its server left. Raises UserError."""
    settings, metrics = read_settings(), Metrics()
    decoding = section_of(settings.task, "infer", settings.decoding)
    evaluate = section_of(settings.task, "evaluate", settings.evaluate)

    def open_model(path: Path, version: str) -> Answerer:
        how = {"options": decoding, "device": settings.device, "image_root": settings.image_root}
        return open_answerer(settings.task, path, version=version, **how)

    prover = Prover(settings.task, exchange_of(settings.task), evaluate, settings.log, settings.proof_rows)
    state = State(state_folder())
    models = Models(
        source_of(settings, state),
        state,
        open=open_model,
        prove=prover.prove,
        count=metrics.model_event,
        interval_s=settings.reload_interval_s,
    )
    second = settings.canary or settings.shadow
    if second:
        models.set_second(second, "canary" if settings.canary else "shadow", settings.share, at_start=True)
    models.start()
    return Application(settings, models, metrics)


def rsgi() -> Rsgi:
    """What granian runs in each worker. One that cannot begin says why, and ends the server."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of the terminal: the server tells its workers
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # so does this one where the terminal is closed
    try:
        return Rsgi(application())
    except UserError as error:
        leave_failure(error)
        os.kill(os.getppid(), signal.SIGTERM)
        raise SystemExit(2) from error


def asgi() -> Asgi:
    """The same as an ASGI application: ``uvicorn --factory pipeline.serve.worker:asgi``."""
    return Asgi(application())
