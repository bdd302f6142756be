"""The smallest typer program that has commands: what `baton evaluate --help` is measured against."""

import typer

app = typer.Typer()


@app.command()
def one(text: str = "x") -> None:
    """Print a text."""
    print(text)


@app.command()
def two(number: int = 1) -> None:
    """Print a number."""
    print(number)


if __name__ == "__main__":
    app()
