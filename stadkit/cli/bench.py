"""`stadkit bench`: measures the speed of detection, scoring, linking and labelling."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from stadkit.bench.detection import generated_video, measure_detect
from stadkit.bench.evaluation import evaluate_in_new_process
from stadkit.bench.linking import link_in_new_process
from stadkit.bench.model import measure_model, seconds
from stadkit.bench.pseudo_labels import CLASSES, generated_people, measure_labelling
from stadkit.cli.options import SPEED, AsJson, DetectThreads, Device, Precision, Threads
from stadkit.console import console
from stadkit.errors import UsageError
from stadkit.memory import peak_gb
from stadkit.runs.threads import threads_beside_decoding, use_threads

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine.")
GOAL_RATIO = 1.15  # whole / slower part
AVA_KEYFRAMES = 57_408  # 64 videos of 897 seconds
GOAL_EVAL_S, GOAL_EVAL_GB, GOAL_VIDEO_S = 3.0, 1.5, 20.0
REFERENCES_S = (13.7, 174.0)  # public linking code on two such videos, per class, on one core
GOAL_LINK_S, GOAL_LINK_500_S = 0.1, 60.0
GOAL_KEYFRAMES_PER_S = 20_000  # temporal label assignment
Runs = Annotated[int, typer.Option(min=1, help="Repetitions; the best one counts.")]


@app.command("detect")
def bench_detect(
    video: Annotated[
        Path | None, typer.Option(help="Video file. Default: a generated one, 720p, 20 s.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A model name or weights file.")
    ] = "mestad-nano",
    every: Annotated[float, typer.Option(help="Seconds between keyframes.")] = 1.0,
    device: Device = "auto",
    precision: Precision = "auto",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Clips per batch.", rich_help_panel=SPEED)
    ] = None,
    threads: DetectThreads = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
) -> None:
    """Measure decoding alone, the model alone, and both together as in `detect`."""
    from stadkit.detection import DetectOptions, load

    detector = load(model, device, precision)
    if detector.card.family == "slowfast-roi":
        raise UsageError(f"{detector.name}: is a two-stage model; use an end-to-end model")
    options = DetectOptions(every=every, batch=batch)
    with tempfile.TemporaryDirectory() as folder:
        path = video or generated_video(Path(folder) / "made.mp4")
        with threads_beside_decoding(threads, detector, every):
            figures = measure_detect(detector, path, options, runs)
    figures = {"model": detector.name, "device": str(detector.device), "every": every, **figures}
    show(figures, as_json)
    if not as_json:
        console.print(f"whole / slower part: {figures['ratio']} (goal: at most {GOAL_RATIO})")
        console.print(
            f"whole / lower bound on {figures['cores']} cores: {figures['ratio_to_floor']} "
            "(parts that each keep all cores busy cannot overlap)"
        )


@app.command("eval")
def bench_eval(
    keyframes: Annotated[
        int, typer.Option(min=1, help="Number of keyframes; AVA's validation set has 57,408.")
    ] = AVA_KEYFRAMES,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the generated files.")] = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
) -> None:
    """Measure `stadkit eval FOUND TRUTH` at AVA's size, each run in a new process."""
    from stadkit.synth.benchmark_sets import write_ava_like

    with tempfile.TemporaryDirectory() as folder:
        truth, found = write_ava_like(Path(folder), keyframes, seed)
        # In new processes, so that generating the files does not count as memory of `eval`.
        best = min((evaluate_in_new_process(found, truth) for _ in range(runs)), key=_whole_seconds)
    goals = {"whole_s": GOAL_EVAL_S, "peak_gb": GOAL_EVAL_GB}
    _show_with_goals({"keyframes": keyframes, **best}, goals, as_json)


def _whole_seconds(figures: dict[str, Any]) -> float:
    return float(figures["whole_s"])


@app.command("video-map")
def bench_video_map(
    videos: Annotated[
        int, typer.Option(min=1, help="Number of videos; UCF101-24's test set has 914.")
    ] = 914,
    tubes: Annotated[int, typer.Option(min=1, help="Detected tubes per video.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the generated tubes.")] = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
) -> None:
    """Measure video mAP of UCF101-24-like tubes, by both protocols, at all thresholds."""
    from stadkit.metrics.video_map import video_map
    from stadkit.synth.benchmark_sets import ucf_like

    found, truth, sizes = ucf_like(videos, tubes, seed)
    figures: dict[str, Any] = {"videos": videos, "tubes": len(found), "boxes": len(found.time)}
    for protocol in ("multisports", "act"):

        def score(protocol: str = protocol) -> None:
            video_map(found, truth, sizes=sizes, rate=25.0, protocol=protocol)

        figures[f"{protocol}_s"] = round(min(seconds(score) for _ in range(runs)), 3)
    figures["peak_gb"] = round(peak_gb(), 3)
    _show_with_goals(figures, {"multisports_s": GOAL_VIDEO_S, "act_s": GOAL_VIDEO_S}, as_json)


def _show_with_goals(figures: dict[str, Any], goals: dict[str, float], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**figures, "goals": goals}))
        return
    for name, value in figures.items():
        goal = f"  (goal: at most {goals[name]:g})" if name in goals else ""
        typer.echo(f"{name:<29} {value}{goal}")
    missed = [name for name, limit in goals.items() if figures[name] > limit]
    if missed:
        console.print(f"goals missed: {', '.join(missed)}")


@app.command("link")
def bench_link(
    videos: Annotated[
        int, typer.Option(min=1, help="Number of videos of 150 frames; 500 is a typical data set.")
    ] = 2,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Repeatable. Default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the generated detections.")] = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
) -> None:
    """Measure linking of 24 classes and 10 boxes per frame, by each method."""
    methods = _methods(method)
    figures: dict[str, Any] = {"videos": videos}
    for name in methods:
        # One process each, so that peak memory is per method.
        measured = link_in_new_process(name, videos, seed, runs)
        figures["boxes"] = measured.pop("boxes")
        figures |= {f"{name}_{key}": value for key, value in measured.items()}
    goal = GOAL_LINK_S if videos <= 2 else GOAL_LINK_500_S * videos / 500
    goals = {"track_s": goal} if "track" in methods else {}
    references = [round(seconds * videos / 2, 1) for seconds in REFERENCES_S]
    if as_json:
        typer.echo(json.dumps({**figures, "goals": goals, "references_s": references}))
        return
    for key, value in figures.items():
        goal_note = f"  (goal: at most {goals[key]:g})" if key in goals else ""
        typer.echo(f"{key:<20} {value}{goal_note}")
    typer.echo(f"{'public code':<20} {references[0]} to {references[1]} s")
    if missed := [key for key, limit in goals.items() if figures[key] > limit]:
        console.print(f"goals missed: {', '.join(missed)}")


def _methods(names: list[str] | None) -> list[str]:
    from stadkit.linking import METHODS, check_method

    for name in names or ():
        check_method(name)
    return names or list(METHODS)


@app.command("model")
def bench_model(
    name: Annotated[str, typer.Argument(help="A name from `stadkit models list`.")],
    size: Annotated[
        int | None,
        typer.Option(min=32, help="Side of the square clips in pixels. Default: the card's."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting of the card: FIELD=VALUE. Repeatable."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Clips per batch.", rich_help_panel=SPEED)] = 1,
    device: Device = "auto",
    precision: Precision = "auto",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Use torch.compile.", rich_help_panel=SPEED)
    ] = False,
    threads: Threads = 0,
    runs: Annotated[int, typer.Option(min=1, help="Forward passes; the best one counts.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Measure a model: clips per second, share of the machine's peak, time by part."""
    use_threads(threads)
    figures = measure_model(
        name, size, _settings(settings or []), batch, device, precision, compiled, runs
    )
    show(figures, as_json)


def _settings(assignments: list[str]) -> dict[str, Any]:
    """Parse `["keep_rate=0.6"]` into {"keep_rate": 0.6}; values are YAML. Raises UsageError."""
    settings = {}
    for text in assignments:
        name, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f"--set {text}: use FIELD=VALUE, such as --set keep_rate=0.6")
        try:
            settings[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"--set {text}: the value is not valid YAML") from None
    return settings


def show(figures: dict[str, Any], as_json: bool) -> None:
    """Print figures as JSON, or one per line; nested ones by part."""
    if as_json:
        typer.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        rows = value if isinstance(value, dict) else {"": value}
        for part, figure in rows.items():
            typer.echo(f"{' '.join((name, part)).strip():<28} {figure}")


@app.command("pseudo-label")
def bench_pseudo_label(
    frames: Annotated[
        int, typer.Option(min=10, help="Number of frames, at 5 per second.")
    ] = 30_000,
    people: Annotated[int, typer.Option(min=1, help="People per frame.")] = 3,
    strategy: Annotated[
        list[str] | None, typer.Option("--strategy", help="Repeatable. Default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the generated people.")] = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
) -> None:
    """Measure pseudo-labelling of 80 classes, labelled once per second, on one core."""
    from stadkit.tla import STRATEGIES, LabellingOptions

    strategies = [LabellingOptions(name).strategy for name in strategy or STRATEGIES]
    found, truth = generated_people(frames, people, seed)
    figures = {name: measure_labelling(found, truth, name, runs) for name in strategies}
    report = {"frames": frames, "people": people, "classes": CLASSES, "keyframes_per_s": figures}
    if as_json:
        typer.echo(json.dumps({**report, "goals": {"tla": GOAL_KEYFRAMES_PER_S}}))
        return
    for name, figure in figures.items():
        goal_note = f"  (goal: at least {GOAL_KEYFRAMES_PER_S:,})" if name == "tla" else ""
        typer.echo(f"{name:<12} {figure:>9,} keyframes/s{goal_note}")
    if figures.get("tla", GOAL_KEYFRAMES_PER_S) < GOAL_KEYFRAMES_PER_S:
        console.print("goals missed: tla")
