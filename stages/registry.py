"""``baton registry``: models under names, versions and aliases."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.errors import UserError
from stages.common import Result, command, main
from stages.options import Options

if TYPE_CHECKING:
    from pipeline.registry.entry import Registry, Version

Action = Literal["add", "alias", "list"]
USES = {"add": "NAME FILE", "alias": "NAME ALIAS VERSION", "list": "[NAME]"}

ActionArgument = Annotated[Action, typer.Argument(metavar="add|alias|list", help="What to do.")]
WordsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME [FILE | ALIAS VERSION]]", help="A model's name; for add a file, for alias the rest."),
]
RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="PLACE",
        help="A folder, or mlflow://HOST:PORT; else MLFLOW_URI, else the folder registry among the runs.",
    ),
]
AliasOption = Annotated[
    str | None, typer.Option("--alias", metavar="ALIAS", help="With add: also let this alias name the new version.")
]
GateOption = Annotated[
    str | None,
    typer.Option("--gate", metavar="NAME", help="With alias: only if that version passes this gate; else exit code 1."),
]
InputOption = Annotated[
    Path | None, typer.Option("--input", metavar="FILE", help="predictions.jsonl of that version, for --gate.")
]


@command("registry", shared=("runs_dir", "threads", "json"))
def app(
    options: Options,
    action: ActionArgument,
    words: WordsArgument = None,
    registry: RegistryOption = None,
    alias: AliasOption = None,
    gate: GateOption = None,
    input: InputOption = None,
) -> Result:
    """Keep models under names: versions that never change, and aliases that move between them.

    serve answers from the version that an alias names. With --gate, an alias only moves to a version whose predictions
    pass that gate.

    Example: baton registry add beacon runs/localization/demo/export/model.inference_v1

    Example: baton registry alias beacon production 2 --gate demo --input predictions.jsonl

    Example: baton registry list
    """
    from pipeline.registry.find import open_registry  # loaded here: `--help` need not wait for it

    words = words or []
    wanted = {"add": (2,), "alias": (3,), "list": (0, 1)}[action]
    if len(words) not in wanted:
        raise UserError(f"registry {action} takes {USES[action]}", remedy=f"baton registry {action} {USES[action]}")
    if ((gate or input) and action != "alias") or (alias and action != "add"):
        raise UserError("--gate and --input belong to alias, --alias to add", remedy="baton registry --help")
    place = open_registry(registry or os.environ.get("MLFLOW_URI") or options.runs_dir / "registry")
    if action == "add":
        return _add(place, words[0], Path(words[1]), alias)
    if action == "alias":
        return _alias(place, (words[0], words[1], words[2]), gate, input)
    return _list(place, words)


def _add(registry: "Registry", name: str, path: Path, alias: str | None) -> Result:
    version = registry.add(name, path)
    lines = [f"registry: {name} version {version} in {registry.where}"]
    if alias:
        registry.set_alias(name, alias, version)
        lines.append(f"  {alias} names version {version}")
    return Result(lines, {"registry": registry.where, "name": name, "version": version, "alias": alias})


def _alias(registry: "Registry", words: tuple[str, str, str], gate: str | None, input: Path | None) -> Result:
    name, alias, asked = words
    version = registry.resolve(name, asked)
    facts: dict[str, Any] = {"registry": registry.where, "name": name, "alias": alias, "version": version}
    lines: list[str] = []
    if gate:
        from pipeline.gate import report as table
        from pipeline.registry.gate import gate_version

        verdicts = gate_version(registry.fetch(name, version), gate, input)
        lines = table.lines(verdicts, colour=False)
        facts |= {"gate": verdicts.spec.name, "num_failed": len(verdicts.having("fails"))}
        if verdicts.failed:
            stays = f"registry: {alias} of {name} stays where it is, for version {version} fails the gate"
            return Result([stays, *lines], facts, "failed")
    elif input:
        raise UserError("--input is what --gate judges", remedy="add --gate NAME, or leave --input out")
    before = registry.set_alias(name, alias, version)
    moved = f" (before: version {before})" if before not in (None, version) else ""
    return Result([f"registry: {alias} of {name} names version {version}{moved}", *lines], facts | {"before": before})


def _list(registry: "Registry", names: list[str]) -> Result:
    found = [version for name in names or registry.names() for version in registry.versions(name)]
    lines = [f"registry: {len(found):,} versions in {registry.where}", *map(_line, found)]
    facts = [{**asdict(one), "aliases": list(one.aliases)} for one in found]
    return Result(lines, {"registry": registry.where, "versions": facts})


def _line(one: "Version") -> str:
    told = [one.task or "", (one.weights_hash or "")[:16], one.created_at or "", ", ".join(one.aliases)]
    return f"  {one.name} {one.version}  " + "  ".join(text for text in told if text)


if __name__ == "__main__":
    main(app)
