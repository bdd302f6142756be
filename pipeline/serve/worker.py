"""What each worker of a server begins with: the application, made from the settings that the server left."""

import os
import signal

import msgspec

from pipeline.contract.serving import Answerer
from pipeline.errors import UserError
from pipeline.serve.adapters import Asgi, Rsgi
from pipeline.serve.answer import open_answerer
from pipeline.serve.application import Application, section_type
from pipeline.serve.metrics import Metrics
from pipeline.serve.models import Models
from pipeline.serve.settings import Failure, read_settings


def application() -> Application:
    """What a worker answers with, made from the settings that its server left. Raises UserError."""
    settings = read_settings()
    decoding = msgspec.convert(settings.decoding, section_type(settings.task, "infer"))

    def open_model() -> Answerer:
        return open_answerer(
            settings.task,
            settings.model,
            options=decoding,
            device=settings.device,
            image_root=settings.image_root,
        )

    return Application(settings, Models(open_model), Metrics())


def rsgi() -> Rsgi:
    """What granian runs in each worker. One that cannot begin says why, and ends the server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all of the terminal: the server tells its workers
    try:
        return Rsgi(application())
    except UserError as error:
        Failure(what=error.what, where=error.where, remedy=error.remedy).write()
        os.kill(os.getppid(), signal.SIGTERM)
        raise SystemExit(2) from error


def asgi() -> Asgi:
    """The same as an ASGI application: ``uvicorn --factory pipeline.serve.worker:asgi``."""
    return Asgi(application())
