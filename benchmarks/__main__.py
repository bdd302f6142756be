"""``python -m benchmarks``: run all benchmarks, or --only some, and write the section of each into RESULTS.md
once it is done; with --quick, show and write nothing."""

import argparse
import importlib
import sys
import traceback
from pathlib import Path

from benchmarks.harness import Report
from benchmarks.harness.machine import describe
from benchmarks.harness.results import claim_line, markdown, read_sections, section
from pipeline.errors import UserError

BENCHMARKS = {
    "environment": "steps a second of one core, against Gymnasium's SyncVectorEnv",
    "dqn": "steps a second of a training and what it learns, against stable-baselines3",
    "tail": "what the live tail costs the training",
    "delivery": "how late a follower in another process sees an episode",
    "live_page": "how late those who watch in a browser get an episode, and what that costs",
    "explore": "what who explores in a browser waits for, beside a plotly figure sent anew",
    "explore.behind": "the first map against umap-learn, generation against diffusers, the memory of recording",
    "serve": "a small model over HTTP, against FastAPI + pydantic, LitServe and BentoML",
    "serve.batching": "a model of a millisecond, with and without batching what waits",
    "serve.reload": "how long another model takes to answer, by route, signal and alias",
    "serve.cache": "answers that were kept, in the process or in a Redis",
    "serve.memory": "memory of a worker after a million requests",
    "model_file": "opening and checking inference_v1, against torch.load; its size, against the checkpoint",
    "jsonl": "decoding rows to keep them all, against a plain orjson loop",
    "detection_metrics": "AP from files and its intervals, against faster-coco-eval and hotcoco",
    "evaluate_scale": "baton evaluate of 10,000 to 1,000,000 records: how time and memory grow",
    "parser": "reading the texts of models, against json_repair",
    "statistics": "intervals of score matrices, against rliable; a comparison of a million pairs",
    "help": "`baton evaluate --help`, against a bare typer program",
}
RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """Run what was asked for. 0 when every benchmark ran, whether or not its targets were met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the benchmarks and do nothing")
    parser.add_argument("--only", action="append", metavar="NAME", choices=list(BENCHMARKS), help="run this one alone")
    parser.add_argument("--quick", action="store_true", help="few and short rounds: to see that it runs")
    arguments = parser.parse_args()
    if arguments.list:
        for name, summary in BENCHMARKS.items():
            print(f"{name:<14}  {summary}")
        return 0
    reports = [_measure(name, quick=arguments.quick) for name in arguments.only or BENCHMARKS]
    return 1 if any(isinstance(report, str) for report in reports) else 0


def _measure(name: str, *, quick: bool) -> Report | str:
    """Run one benchmark and, unless ``quick``, write its section: what comes after it may be cut off."""
    machine = describe()
    report = _run(name, quick)
    print("\n".join(machine))
    if not quick:
        there = read_sections(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
        there[name] = section(name, report, machine)
        RESULTS.write_text(markdown({one: there[one] for one in BENCHMARKS if one in there}), encoding="utf-8")
        print(f"results: {RESULTS}")
    return report


def _run(name: str, quick: bool) -> Report | str:
    """One benchmark's report, shown as soon as it is there; or why there is none, for the others must not suffer."""
    print(f"\n{name}: {BENCHMARKS[name]} ...", flush=True)
    try:
        report: Report = importlib.import_module(f"benchmarks.{name}").run(quick)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.what
    except Exception as error:  # a bug in one benchmark leaves the figures of the others
        traceback.print_exc()
        return f"{type(error).__name__}: {error}"
    print(section(name, report, ()))
    print("\n".join(claim_line(claim) for claim in report.claims), flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
