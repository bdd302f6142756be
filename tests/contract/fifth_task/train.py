"""Gradient descent on random points."""

import msgspec
import torch

from pipeline.contract.jobs import TrainJob, TrainOutcome
from pipeline.contract.parts import TrainPart
from pipeline.files import Appender
from pipeline.tasks.fifth.model import SPEC, build
from schemas.rows import Monitor, Progress


def train(job: TrainJob) -> TrainOutcome:
    torch.manual_seed(job.recipe.seed)
    module, settings = build(SPEC), job.recipe.train
    optimizer = torch.optim.SGD(module.parameters(), lr=settings.learning_rate)
    loss = torch.zeros(())
    with Appender(job.folder / "progress.jsonl") as progress:
        for step in range(settings.num_steps):
            x = 2.0 * torch.rand(32, 1) - 1.0
            loss = torch.nn.functional.mse_loss(module(x), 2.0 * x + 1.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            progress.append(Progress(task="fifth", id=f"step-{step}", step=step))
            job.report(step + 1, settings.num_steps, {"loss": float(loss)})
    selected = job.folder / "selected.checkpoint_v1"
    weights = {name: tensor.detach() for name, tensor in module.state_dict().items()}
    head = {"format": "checkpoint_v1", "task": "fifth", "brain": msgspec.to_builtins(SPEC)}
    torch.save(head | {"weights": weights, "step": settings.num_steps}, selected)
    monitor = job.folder / "monitor.jsonl"
    with Appender(monitor) as appender:
        appender.append(
            Monitor(task="fifth", id="end", step=settings.num_steps, checkpoint=selected.name, selected_by=-float(loss))
        )
    outputs = {"selected": selected, "progress": job.folder / "progress.jsonl", "monitor": monitor}
    return TrainOutcome(outputs, {"num_steps": settings.num_steps})


PART = TrainPart(train=train)
