"""``jupyter sessions doctor``: runs the checks as a program of their own, and shows what they found."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from jupyter_sessions.cli import output
from jupyter_sessions.cli.connection import Misused
from jupyter_sessions.cli.programs import command
from jupyter_sessions.model.words import plain

PROGRAM = "jupyter_sessions.doctor"
EXAMPLE = "Examples: `jupyter sessions doctor`; `jupyter sessions doctor -o json | jq '.findings[] | .remedy'`"
WIDE = 140
"""Columns from which on what, why and remedy stand side by side."""
STYLES = {"ok": "green", "warn": "yellow", "fault": "bold red"}

app = typer.Typer(rich_markup_mode="markdown")


@app.command(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def doctor(
    form: Annotated[
        output.Format,
        typer.Option("-o", "--output", help="How to write what was found; name: the checks' names alone."),
    ] = output.Format.TABLE,
    location: Annotated[
        list[str] | None,
        typer.Option(metavar="projects/P/locations/L", help="Try only this location; may be repeated."),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where sessions are kept, if not where Jupyter says.")] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Show warnings and faults only, and no progress.")
    ] = False,
) -> None:
    """Check servers, extension, configuration, locations, store, engine, permissions, ports and orphans.

    Each fault is told with its remedy. Nothing is changed, and no secret is shown.
    """
    arguments = ["--json", *(f"--location={_location(name)}" for name in location or ())]
    arguments += [f"--data-dir={data_dir}"] if data_dir is not None else []
    arguments += ["--quiet"] if quiet else []
    report = _run(command(PROGRAM, arguments))
    findings = [row for row in report["findings"] if not quiet or row["level"] != "ok"]
    if form is output.Format.TABLE:
        _show(findings)
    elif form is output.Format.NAME:
        for name in dict.fromkeys(str(row["check"]) for row in findings):
            print(plain(name))
    else:
        output.write({**report, "findings": findings}, form)
    faults = sum(row["level"] == "fault" for row in findings)
    warnings = sum(row["level"] == "warn" for row in findings)
    output.say(f"{_counted(faults, 'fault')}, {_counted(warnings, 'warning')}")
    raise typer.Exit(output.FAULTS if faults else output.OK)


def _location(text: str) -> str:
    """Give a location's name as it is; raises Misused where it is none."""
    from jupyter_sessions.model.errors import InvalidArgument
    from jupyter_sessions.model.names import parse_location

    try:
        return str(parse_location(text, f"--location {text}"))
    except InvalidArgument as error:
        raise Misused(str(error)) from error


def _counted(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


def _run(argv: Sequence[str]) -> Mapping[str, Any]:
    """Run the checks and give their report; their progress goes to stderr as it comes."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False)  # noqa: S603 - this interpreter, a module of ours
    if done.returncode == output.USAGE:
        raise typer.Exit(output.USAGE)
    try:
        report: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError:
        output.say(f"the checks broke off with exit status {done.returncode}; what they said is above")
        raise typer.Exit(output.BROKEN) from None
    return report


def _show(findings: Sequence[Mapping[str, Any]]) -> None:
    if not findings:
        return
    if output.width() >= output.UNBROKEN:
        _lines(findings)
        return
    # On a narrow terminal one finding's words stand below each other, not in columns of a few letters.
    narrow = output.width() < WIDE
    made = output.table(("", "check", "found") if narrow else ("", "check", "what", "why", "remedy"))
    for row in findings:
        level = row["level"]
        what = f"{row['subject']}: {row['what']}" if row["subject"] else row["what"]
        words = [what, row["why"], row["remedy"]]
        if narrow:
            words = ["\n".join(word for word in (what, row["why"], row["remedy"] and f"→ {row['remedy']}") if word)]
        made.add_row(output.cell(level, STYLES.get(level, "")), *map(output.cell, (row["check"], *words)))
    output.show(made)


def _lines(findings: Sequence[Mapping[str, Any]]) -> None:
    """Write each finding as one line, for a pipe: columns as wide as their longest text are of no use there."""
    room = max(len(row["check"]) for row in findings)
    for row in findings:
        what = f"{row['subject']}: {row['what']}" if row["subject"] else row["what"]
        words = "; ".join(word for word in (what, row["why"]) if word) + (
            f" → {row['remedy']}" if row["remedy"] else ""
        )
        print(plain(f"{row['level']:5}  {row['check']:{room}}  {words}".replace("\n", " ")))
