"""`stadkit detect`: reads videos, writes CSV, JSON lines, annotated videos and a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stadkit.cli.options import (
    MANY,
    OUTPUT,
    SCORES,
    SELECTION,
    Address,
    Batch,
    DetectThreads,
    Device,
    Engine,
    JsonSummary,
    Overwrite,
    Precision,
    Workers,
)
from stadkit.errors import UsageError
from stadkit.runs.threads import threads_beside_decoding

TOKENS = "EVAD and STMixer"


def detect(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Videos, folders, globs or .txt lists; or one camera number or URL.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="A name from `stadkit models list`, or a weights file."),
    ] = "mestad-nano",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Results folder. Default: runs/detect/NAME."),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS|frame",
            help="Seconds between keyframes, or the word `frame` for every frame. Default: 1; for "
            "tubelet models, so that tubelets overlap by 2 frames.",
        ),
    ] = None,
    save_video: Annotated[
        bool, typer.Option("--save-video", help="Write an H.264 mp4 with the detections drawn.")
    ] = False,
    link: Annotated[
        bool, typer.Option("--link", help="Track people and build tubes, as `stadkit link` does.")
    ] = False,
    start: Annotated[
        float,
        typer.Option(min=0.0, help="First keyframe, in seconds.", rich_help_panel=SELECTION),
    ] = 0.0,
    duration: Annotated[
        float | None,
        typer.Option(help="Seconds to process. Default: to the end.", rich_help_panel=SELECTION),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Fail on a video that can only be read in part.",
            rich_help_panel=SELECTION,
        ),
    ] = False,
    reader: Annotated[
        str, typer.Option(help="pyav or decord.", rich_help_panel=SELECTION)
    ] = "pyav",
    min_person: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Lowest person score. Default: the model card's.",
            rich_help_panel=SCORES,
        ),
    ] = None,
    min_action: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Lowest action score. Default: the model card's.",
            rich_help_panel=SCORES,
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum people per keyframe.", rich_help_panel=SCORES),
    ] = None,
    classes: Annotated[
        str,
        typer.Option(
            help="Report only these actions: names or ids, comma-separated.",
            rich_help_panel=SCORES,
        ),
    ] = "",
    person_model: Annotated[
        str,
        typer.Option(
            help="Person detector for a two-stage model (roi-...).", rich_help_panel=SCORES
        ),
    ] = "",
    proposals: Annotated[
        Path | None,
        typer.Option(
            help="AVA CSV of person boxes to classify, instead of detecting people.",
            rich_help_panel=SCORES,
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Never use the network: local files and installed weights only.",
            rich_help_panel=SCORES,
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            help="With the same -o: skip inputs that already have results.",
            rich_help_panel=OUTPUT,
        ),
    ] = True,
    overwrite: Overwrite = False,
    as_json: JsonSummary = False,
    device: Device = "auto",
    precision: Precision = "auto",
    batch: Batch = None,
    threads: DetectThreads = 0,
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N",
            help="Process only part I of N of the inputs; auto: from Slurm, or RANK and "
            "WORLD_SIZE.",
            rich_help_panel=MANY,
        ),
    ] = "",
    engine: Engine = "local",
    workers: Workers = None,
    address: Address = None,
    save_tokens: Annotated[
        bool,
        typer.Option(
            "--save-tokens",
            help="EVAD: draw the image patches that each stage kept, as PNGs.",
            rich_help_panel=TOKENS,
        ),
    ] = False,
    save_queries: Annotated[
        bool,
        typer.Option(
            "--save-queries",
            help="STMixer: save the person queries, for its long-term classifiers.",
            rich_help_panel=TOKENS,
        ),
    ] = False,
    queries: Annotated[
        Path | None,
        typer.Option(
            help="STMixer, `classifier: long`: results of a run with --save-queries.",
            rich_help_panel=TOKENS,
        ),
    ] = None,
    window: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="With --queries: seconds of queries to use, half before the keyframe, half after.",
            rich_help_panel=TOKENS,
        ),
    ] = 60.0,
) -> None:
    """Detect people and their actions in videos.

    Each video gives NAME.csv (AVA format) and NAME.jsonl (one keyframe per line). The run gives
    manifest.json, summary.json and labels.txt.

    --save-video adds NAME.mp4 of the processed part. --link adds NAME.tubes.json, puts tracks into
    NAME.jsonl and a ninth column of NAME.csv, and draws one colour and id per person.

    A two-stage model (roi-...) classifies people that another model or a file provides: give
    --person-model, which runs in the same pass, or --proposals.

    A camera (0) or a URL (rtsp:// or http://) is processed live until --duration or Ctrl-C.
    Keyframes that arrive too fast are skipped; everything found is kept.

    --shard I/N writes to OUTPUT/shard-I-of-N; `stadkit merge OUTPUT -o ALL` combines the shards.
    --engine ray shares the videos among workers and splits long ones. Results are the same for the
    same --threads.

    --save-tokens writes NAME.tokens/SECONDS.png for each keyframe. --save-queries writes
    NAME.queries, the features of the reported people; passed to --queries, they give a model with
    `classifier: long` the context of the rest of the video.

    Exit codes: 0 all done; 1 some inputs failed or were read in part; 2 wrong usage, or the only
    input is not a video; 3 missing weights; 5 the proposals or queries belong to other videos.
    """
    from stadkit.detection import DetectOptions, load
    from stadkit.detection.hooks import pruning_backbone, require_bank_reader, require_query_model
    from stadkit.detection.two_stage import with_boxes
    from stadkit.files.ava_csv import read_proposals
    from stadkit.runs.batch import detect_many
    from stadkit.runs.engines import check_engine, pick_engine, refuse_with_ray
    from stadkit.runs.inputs import gather
    from stadkit.runs.job import Job, pick_classes, pick_every
    from stadkit.runs.live import detect_live, pick_live, refuse_url
    from stadkit.runs.shards import parse_shard
    from stadkit.zoo.storage import go_offline

    if offline:
        go_offline()
    check_engine(engine, workers, address)
    refuse_with_ray(engine, save_tokens=save_tokens, save_queries=save_queries, queries=queries)
    part, pace = parse_shard(shard), pick_every(every)
    if part is not None and output is None:
        raise UsageError("--shard: set --output to the folder of all shards")
    source = pick_live(
        inputs,
        {
            "proposals": proposals,
            "person_model": person_model,
            "save_video": save_video,
            "save_tokens": save_tokens,
            "save_queries": save_queries,
            "queries": queries,
            "link": link,
            "shard": part,
            "engine": engine != "local",
            "every frame": pace == "frame",
        },
    )
    refuse_url(source)
    found = [] if source is not None else gather(inputs)
    boxes = read_proposals(proposals) if proposals else None
    detector = load(model, device, precision)
    detector = with_boxes(detector, person_model, boxes is not None, device, precision)
    if save_tokens:
        pruning_backbone(detector)
    if save_queries:
        require_query_model(detector)
    if queries is not None:
        require_bank_reader(detector)
    job = Job(
        detector=detector,
        options=DetectOptions(
            every=pace,
            start=start,
            duration=duration,
            proposals=boxes,
            min_person=min_person,
            top_k=top_k,
            batch=batch,
            reader=reader,
            strict=strict,
        ),
        labels=pick_classes(classes, detector.card.classes),
        min_action=detector.card.min_action if min_action is None else min_action,
        # The long tail of low scores helps mAP but clutters a picture.
        min_drawn=detector.card.min_drawn if min_action is None else min_action,
        proposals=proposals,
        save_video=save_video,
        save_tokens=save_tokens,
        save_queries=save_queries,
        queries=queries,
        window=window,
        link=link,
        resume=resume,
        executor=pick_engine(engine, workers, address, model, detector, threads, person_model),
    )
    with threads_beside_decoding(threads, detector, pace):
        if source is not None:
            raise typer.Exit(detect_live(source, job, output, overwrite, as_json))
        raise typer.Exit(detect_many(found, job, output, overwrite, as_json, part))
