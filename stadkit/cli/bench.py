"""`stadkit bench`: how fast things are here, the parts beside the whole, in one run."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from stadkit.bench.detection import made_video, measure_detect
from stadkit.bench.evaluation import evaluate_in_new_process
from stadkit.bench.linking import link_in_new_process
from stadkit.bench.model import measure_model, seconds
from stadkit.bench.pseudo_labels import CLASSES, made_up, measure_labelling
from stadkit.cli.options import DetectThreads, Threads
from stadkit.console import console
from stadkit.errors import UsageError
from stadkit.memory import peak_gb
from stadkit.runs.threads import threads_beside_decoding, use_threads

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
GOAL_RATIO = 1.15  # whole / slower part
AVA_KEYFRAMES = 57_408  # 64 videos of 897 seconds
GOAL_EVAL_S, GOAL_EVAL_GB, GOAL_VIDEO_S = 3.0, 1.5, 20.0
Runs = Annotated[int, typer.Option(min=1, help="Times each is measured; the best counts.")]
REFERENCES_S = (13.7, 174.0)  # public code on two such videos, per class, on one core
GOAL_LINK_S, GOAL_LINK_500_S = 0.1, 60.0
GOAL_KEYFRAMES_PER_S = 20_000  # keyframes a second, temporal label assignment


@app.command("detect")
def bench_detect(
    video: Annotated[
        Path | None, typer.Option(help="A video; else one of 720p, 20 s, made here.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A name, or weights.")
    ] = "mestad-nano",
    every: Annotated[float, typer.Option(help="Seconds between keyframes.")] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    batch: Annotated[int | None, typer.Option(min=1, help="Clips at once.")] = None,
    threads: DetectThreads = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
) -> None:
    """Decoding alone, the model alone, and both together, as `detect` runs them."""
    from stadkit.detection import Options, load

    detector = load(model, device, precision)
    if detector.card.family == "slowfast-roi":
        raise UsageError(f"{detector.name}: classifies others' people; take an end-to-end model")
    options = Options(every=every, batch=batch)
    with tempfile.TemporaryDirectory() as folder:
        path = video or made_video(Path(folder) / "made.mp4")
        with threads_beside_decoding(threads, detector, every):
            figures = measure_detect(detector, path, options, runs)
    figures = {"model": detector.name, "device": str(detector.device), "every": every, **figures}
    show(figures, as_json)
    if not as_json:
        console.print(f"whole / slower part: {figures['ratio']} (goal: at most {GOAL_RATIO})")
        console.print(
            f"whole / what {figures['cores']} cores allow: {figures['ratio_to_floor']} "
            "(where both parts keep all cores busy, they can only take turns)"
        )


@app.command("eval")
def bench_eval(
    keyframes: Annotated[
        int, typer.Option(min=1, help="Keyframes; AVA's validation set has 57,408.")
    ] = AVA_KEYFRAMES,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up files.")] = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
) -> None:
    """AVA's count at full size: what `stadkit eval FOUND TRUTH` takes, each run a new process."""
    from stadkit.synth.benchmark_sets import write_ava_like

    with tempfile.TemporaryDirectory() as folder:
        truth, found = write_ava_like(Path(folder), keyframes, seed)
        # Processes of their own: making the files would count as their memory too.
        best = min((evaluate_in_new_process(found, truth) for _ in range(runs)), key=_whole)
    goals = {"whole_s": GOAL_EVAL_S, "peak_gb": GOAL_EVAL_GB}
    _show_with_goals({"keyframes": keyframes, **best}, goals, as_json)


def _whole(figures: dict[str, Any]) -> float:
    return float(figures["whole_s"])


@app.command("video-map")
def bench_video_map(
    videos: Annotated[int, typer.Option(min=1, help="UCF101-24 tests on 914.")] = 914,
    tubes: Annotated[int, typer.Option(min=1, help="Found tubes a video.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up tubes.")] = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
) -> None:
    """Video mAP of tubes like UCF101-24's, by both protocols, at all thresholds."""
    from stadkit.metrics.video_map import video_map
    from stadkit.synth.benchmark_sets import ucf_like

    found, truth, sizes = ucf_like(videos, tubes, seed)
    figures: dict[str, Any] = {"videos": videos, "tubes": len(found), "boxes": len(found.time)}
    for protocol in ("multisports", "act"):

        def once(protocol: str = protocol) -> None:
            video_map(found, truth, sizes=sizes, rate=25.0, protocol=protocol)

        figures[f"{protocol}_s"] = round(min(seconds(once) for _ in range(runs)), 3)
    figures["peak_gb"] = round(peak_gb(), 3)
    _show_with_goals(figures, {"multisports_s": GOAL_VIDEO_S, "act_s": GOAL_VIDEO_S}, as_json)


def _show_with_goals(figures: dict[str, Any], goals: dict[str, float], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**figures, "goals": goals}))
        return
    for name, value in figures.items():
        goal = f"  (goal: at most {goals[name]:g})" if name in goals else ""
        typer.echo(f"{name:<29} {value}{goal}")
    missed = [name for name, most in goals.items() if figures[name] > most]
    if missed:
        console.print(f"missed here: {', '.join(missed)}")


@app.command("link")
def bench_link(
    videos: Annotated[int, typer.Option(min=1, help="Of 150 frames each; 500: a data set.")] = 2,
    method: Annotated[
        list[str] | None, typer.Option("--method", help="Again for several; all if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up detections.")] = 0,
    runs: Annotated[int, typer.Option(min=1, help="Times each is measured; the best counts.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Tables of 24 classes and 10 boxes a frame to tubes, by each method."""
    methods = _methods(method)
    figures: dict[str, Any] = {"videos": videos}
    for name in methods:
        # A process each, so that the memory of one is not counted as another's.
        told = link_in_new_process(name, videos, seed, runs)
        figures["boxes"] = told.pop("boxes")
        figures |= {f"{name}_{key}": value for key, value in told.items()}
    goal = GOAL_LINK_S if videos <= 2 else GOAL_LINK_500_S * videos / 500
    goals = {"track_s": goal} if "track" in methods else {}
    references = [round(seconds * videos / 2, 1) for seconds in REFERENCES_S]
    if as_json:
        typer.echo(json.dumps({**figures, "goals": goals, "references_s": references}))
        return
    for key, value in figures.items():
        aim = f"  (goal: at most {goals[key]:g})" if key in goals else ""
        typer.echo(f"{key:<20} {value}{aim}")
    typer.echo(f"{'public code':<20} {references[0]} to {references[1]} s")
    if missed := [key for key, most in goals.items() if figures[key] > most]:
        console.print(f"missed here: {', '.join(missed)}")


def _methods(given: list[str] | None) -> list[str]:
    from stadkit.linking import METHODS, check_method

    for name in given or ():
        check_method(name)
    return given or list(METHODS)


@app.command("model")
def bench_model(
    name: Annotated[str, typer.Argument(help="A name of `stadkit models list`.")],
    size: Annotated[
        int | None, typer.Option(min=32, help="Square clips of so many pixels; else the card's.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE over the card's settings; repeatable."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Clips at once.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    compiled: Annotated[bool, typer.Option("--compile", help="Through torch.compile.")] = False,
    threads: Threads = 0,
    runs: Annotated[int, typer.Option(min=1, help="Passes; the best counts.")] = 10,
    as_json: AsJson = False,
) -> None:
    """A model on square clips: clips a second, share of the machine's peak, time by part."""
    use_threads(threads)
    figures = measure_model(
        name, size, _settings(settings or []), batch, device, precision, compiled, runs
    )
    show(figures, as_json)


def _settings(given: list[str]) -> dict[str, Any]:
    """`["keep_rate=0.6"]` -> {"keep_rate": 0.6}; values are YAML. Raises UsageError."""
    read = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign:
            raise UsageError(f"--set {one}: wants FIELD=VALUE, as in --set keep_rate=0.6")
        try:
            read[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UsageError(f"--set {one}: the value is no YAML") from None
    return read


def show(figures: dict[str, Any], as_json: bool) -> None:
    """Figures a line each, or as JSON; of a part, a line each too."""
    if as_json:
        typer.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        rows = value if isinstance(value, dict) else {"": value}
        for part, figure in rows.items():
            typer.echo(f"{' '.join((name, part)).strip():<28} {figure}")


@app.command("pseudo-label")
def bench_pseudo_label(
    frames: Annotated[int, typer.Option(min=10, help="To look at, 5 a second.")] = 30_000,
    people: Annotated[int, typer.Option(min=1, help="In each frame.")] = 3,
    strategy: Annotated[
        list[str] | None, typer.Option("--strategy", help="Again for several; all if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the made-up people.")] = 0,
    runs: Annotated[int, typer.Option(min=1, help="Times each is measured; the best counts.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Made-up people of 80 classes, labelled once a second, by each strategy on one core."""
    from stadkit.tla import STRATEGIES, Options

    chosen = [Options(name).strategy for name in strategy or STRATEGIES]
    found, truth = made_up(frames, people, seed)
    figures = {name: measure_labelling(found, truth, name, runs) for name in chosen}
    told = {"frames": frames, "people": people, "classes": CLASSES, "keyframes_per_s": figures}
    if as_json:
        typer.echo(json.dumps({**told, "goals": {"tla": GOAL_KEYFRAMES_PER_S}}))
        return
    for name, figure in figures.items():
        aim = f"  (goal: at least {GOAL_KEYFRAMES_PER_S:,})" if name == "tla" else ""
        typer.echo(f"{name:<12} {figure:>9,} keyframes/s{aim}")
    if figures.get("tla", GOAL_KEYFRAMES_PER_S) < GOAL_KEYFRAMES_PER_S:
        console.print("missed here: tla")
