"""`stadkit doctor`: what this machine has and what is broken, for people and for bug reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stadkit.doctor.checks import Check
    from stadkit.doctor.self_test import Step

DO = "mend what is told above first; if nothing is, send `stadkit doctor --json` with a report"


def doctor(
    test: Annotated[
        bool, typer.Option("--self-test/--no-self-test", help="Look at a small video, too.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Say what this machine has and whether it works: versions, decoders, devices, weights, space.

    A self-test of some seconds writes a small video, reads it, finds people in it with the built-in
    model and compares them with what is known of it. Nothing is downloaded or kept.

    Exit codes: 0 all is well; 1 something is broken, and a line says what to do.
    """
    from stadkit.doctor.checks import check
    from stadkit.doctor.facts import examine
    from stadkit.doctor.self_test import self_test

    facts = examine()
    checks, steps = check(facts), self_test() if test else []
    ok = all(each.ok for each in checks) and all(step.ok for step in steps)
    if as_json:
        told = {"checks": [asdict(c) for c in checks], "self_test": [asdict(s) for s in steps]}
        typer.echo(json.dumps({**facts, **told, "ok": ok}))
    else:
        _tell(facts, checks, steps)
    raise typer.Exit(0 if ok else 1)


def _tell(
    facts: Mapping[str, Mapping[str, Any]], checks: Sequence[Check], steps: Sequence[Step]
) -> None:
    for topic, held in facts.items():
        typer.echo(topic)
        for name, value in _few(held).items() if topic == "weights" else held.items():
            typer.echo(f"  {name:<16} {value}")
    typer.echo("checks")
    for each in checks:
        typer.echo(f"  {each.name:<16} {'ok' if each.ok else 'BROKEN'}: {each.told}")
        if not each.ok:
            typer.echo(f"  {'':<16} -> {each.do}")
    if steps:
        typer.echo("self-test")
    for step in steps:
        state = "ok" if step.ok else "BROKEN"
        typer.echo(f"  {step.name:<22} {state}: {step.told}, {step.seconds} s")
        if not step.ok:
            typer.echo(f"  {'':<22} -> {DO}")


def _few(weights: Mapping[str, str]) -> dict[str, Any]:
    """Those that are here; how many are not."""
    from stadkit.doctor.facts import BROKEN

    if BROKEN in weights:
        return dict(weights)
    here = {name: state for name, state in weights.items() if state != "absent"}
    return {**here, "absent": f"{len(weights) - len(here)} more; see `stadkit models list`"}
