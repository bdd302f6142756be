"""``baton inspect``: what a file or folder is, where it came from, and whether it is whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.inspect import Finding, inspect_artifact
from stages.common import Result, command, main
from stages.options import Options

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="Any file or folder that Baton wrote, or a recipe.")]


@command("inspect", shared=("json",))
def app(options: Options, path: PathArgument) -> Result:
    """Say what a file is, where it came from and whether it is whole (exit code 1 if not).

    Needs no torch, and runs no code from the file.

    Example: baton inspect runs/gridworld/demo
    """
    finding = inspect_artifact(path)
    return Result(list(lines(finding)), facts(finding), "ok" if finding.whole else "failed")


def facts(finding: Finding) -> dict[str, Any]:
    """A finding as plain JSON types."""
    return {
        "path": str(finding.path),
        "kind": finding.kind,
        "whole": finding.whole,
        "problems": list(finding.problems),
        "facts": dict(finding.facts),
        "parts": [facts(child) for child in finding.children],
    }


def lines(finding: Finding, indent: str = "") -> Iterator[str]:
    """A finding as text: what it is, what is known about it, what is wrong with it."""
    yield f"{indent}{finding.path}: {finding.kind}, {'whole' if finding.whole else 'NOT WHOLE'}"
    for problem in finding.problems:
        yield f"{indent}  problem: {problem}"
    for name, value in finding.facts.items():
        if value not in (None, {}):
            yield f"{indent}  {name}: {text(value)}"
    for child in finding.children:
        yield from lines(child, indent + "  ")


def text(value: Any) -> str:
    """A fact on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {text(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


if __name__ == "__main__":
    main(app)
