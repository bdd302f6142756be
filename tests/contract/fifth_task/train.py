"""Gradient descent on random points."""

import time

import msgspec
import torch

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.contract.parts import TrainPart
from pipeline.files import Appender
from pipeline.tasks.fifth.model import SPEC, build
from pipeline.tasks.fifth.rows import LineEpisode
from schemas.rows import Monitor, Progress


def train(job: TrainJob) -> TrainOutcome:
    torch.manual_seed(job.recipe.seed)
    module, settings = build(SPEC), job.recipe.train
    optimizer = torch.optim.SGD(module.parameters(), lr=settings.learning_rate)
    loss = torch.zeros(())
    paths = {name: job.folder / f"{name}.jsonl" for name in ("progress", "episodes", "monitor")}
    with Appender(paths["progress"]) as progress, Appender(paths["episodes"]) as episodes:
        for step in range(settings.num_steps):
            x = 2.0 * torch.rand(32, 1) - 1.0
            loss = torch.nn.functional.mse_loss(module(x), 2.0 * x + 1.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            progress.append(Progress(task="fifth", id=f"step-{step}", step=step))
            if step == settings.num_steps - 1:
                episodes.append(_episode(step, float(x[0, 0]), float(module(x)[0, 0])))
            job.report(step + 1, settings.num_steps, {"loss": float(loss)})
    selected = job.folder / "selected.checkpoint_v1"
    weights = {name: tensor.detach() for name, tensor in module.state_dict().items()}
    head = {"format": "checkpoint_v1", "task": "fifth", "brain": msgspec.to_builtins(SPEC)}
    torch.save(head | {"weights": weights, "step": settings.num_steps}, selected)
    with Appender(paths["monitor"]) as appender:
        appender.append(
            Monitor(task="fifth", id="end", step=settings.num_steps, checkpoint=selected.name, selected_by=-float(loss))
        )
    return TrainOutcome(paths | {"selected": selected}, {"num_steps": settings.num_steps})


def _episode(step: int, x: float, predicted: float) -> LineEpisode:
    return LineEpisode(
        task="fifth", id=f"step-{step}", step=step, ended_unix_s=time.time(), x=x, y=2.0 * x + 1.0, predicted=predicted
    )


PART = TrainPart(train=train)
