"""`stadkit doctor`: checks the installation and the machine, for users and bug reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stadkit.cli.options import AsJson

if TYPE_CHECKING:
    from stadkit.doctor.checks import Check
    from stadkit.doctor.self_test import Step

NEXT_STEP = "fix the faults above first; if there are none, report it with `stadkit doctor --json`"


def doctor(
    test: Annotated[
        bool,
        typer.Option("--self-test/--no-self-test", help="Also run the model on a small video."),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Check versions, decoders, devices, weights and disk space, and run a self-test.

    The self-test takes a few seconds: it writes a small video, reads it, detects people with the
    built-in model and compares them with the known result. Nothing is downloaded or kept.

    Exit codes: 0 all checks pass; 1 something is broken, with a line on how to fix it.
    """
    from stadkit.doctor.checks import check
    from stadkit.doctor.facts import examine
    from stadkit.doctor.self_test import self_test

    facts = examine()
    checks, steps = check(facts), self_test() if test else []
    ok = all(each.ok for each in checks) and all(step.ok for step in steps)
    if as_json:
        results = {"checks": [asdict(c) for c in checks], "self_test": [asdict(s) for s in steps]}
        typer.echo(json.dumps({**facts, **results, "ok": ok}))
    else:
        _report(facts, checks, steps)
    raise typer.Exit(0 if ok else 1)


def _report(
    facts: Mapping[str, Mapping[str, Any]], checks: Sequence[Check], steps: Sequence[Step]
) -> None:
    for topic, entries in facts.items():
        typer.echo(topic)
        for name, value in (_installed(entries) if topic == "weights" else entries).items():
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
            typer.echo(f"  {'':<22} -> {NEXT_STEP}")


def _installed(weights: Mapping[str, str]) -> Mapping[str, Any]:
    """The installed weights, and the number of absent ones."""
    from stadkit.doctor.facts import BROKEN

    if BROKEN in weights:
        return weights
    installed = {name: state for name, state in weights.items() if state != "absent"}
    return {
        **installed,
        "absent": f"{len(weights) - len(installed)} more; see `stadkit models list`",
    }
