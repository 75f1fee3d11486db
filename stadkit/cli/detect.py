"""`stadkit detect`: videos in; CSV, JSON lines, drawn videos, pictures and a manifest out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stadkit.cli.options import Address, DetectThreads, Engine, Workers
from stadkit.errors import UsageError
from stadkit.runs.threads import threads_beside_decoding


def detect(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Videos, folders, globs, .txt lists of them; or one camera number or URL.",
            show_default=False,
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A name of `stadkit models list`, or weights.")
    ] = "mestad-nano",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the results; else runs/detect/NAME."),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS|frame",
            help="Seconds between keyframes, or frame: one at each; else 1, or of tubelets end to "
            "end.",
        ),
    ] = None,
    start: Annotated[float, typer.Option(min=0.0, help="Seconds: the first keyframe.")] = 0.0,
    duration: Annotated[
        float | None, typer.Option(help="Seconds to look at; else to the end.")
    ] = None,
    proposals: Annotated[
        Path | None, typer.Option(help="AVA CSV of person boxes to classify, instead of finding.")
    ] = None,
    person_model: Annotated[
        str,
        typer.Option(help="Who finds the people that a two-stage model (roi-...) classifies."),
    ] = "",
    min_person: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Lowest person score; else the card's.")
    ] = None,
    min_action: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Lowest action score; else the card's.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Most people a keyframe.")] = None,
    classes: Annotated[
        str, typer.Option(help="Only these actions: names or ids, with commas between.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Clips at once; else the card's, on a CPU at most one a thread."),
    ] = None,
    threads: DetectThreads = 0,
    reader: Annotated[str, typer.Option(help="pyav or decord.")] = "pyav",
    save_video: Annotated[
        bool, typer.Option("--save-video", help="Draw what was found, as H.264 mp4.")
    ] = False,
    save_tokens: Annotated[
        bool, typer.Option("--save-tokens", help="Draw which patches the model kept, as PNGs.")
    ] = False,
    save_queries: Annotated[
        bool,
        typer.Option("--save-queries", help="Keep an STMixer's queries, for its classifiers."),
    ] = False,
    queries: Annotated[
        Path | None,
        typer.Option(help="Results with --save-queries: what a long-term classifier reads."),
    ] = None,
    window: Annotated[
        float,
        typer.Option(min=0.0, help="Seconds of them around a keyframe, half before, half after."),
    ] = 60.0,
    link: Annotated[
        bool, typer.Option("--link", help="Follow people: tracks and tubes, as `link` makes them.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="A video that can only be read in part fails.")
    ] = False,
    engine: Engine = "local",
    workers: Workers = None,
    address: Address = None,
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N",
            help="Only part I of N of the inputs; auto: as Slurm, or RANK and WORLD_SIZE, say.",
        ),
    ] = "",
    resume: Annotated[
        bool,
        typer.Option(help="With the same -o: skip inputs whose results are there already."),
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over results that are there.")
    ] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Never use the network: files alone, and weights here."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A summary as JSON on stdout.")] = False,
) -> None:
    """Find who does what, where and when.

    Each video gives NAME.csv (AVA format) and NAME.jsonl (one keyframe a line), with
    --save-video NAME.mp4 of the part looked at; the run gives manifest.json, summary.json and
    labels.txt.
    With --link each gives NAME.tubes.json, tracks are in NAME.jsonl and in a ninth column of
    NAME.csv, and the video shows a colour and an id a person. With --save-tokens a model that
    drops tokens gives NAME.tokens/SECONDS.png for each keyframe: what each stage kept. With
    --save-queries an STMixer gives NAME.queries, a bank of what it knows of the people it reports;
    given to --queries it tells one with `classifier: long` of the rest of the video. With --shard
    I/N the results go to OUTPUT/shard-I-of-N; `stadkit merge OUTPUT -o ALL` puts them together.
    A two-stage model (roi-...) classifies people that others find: give their boxes with
    --proposals, or with --person-model a model that finds them on the way, in the same pass.
    A camera (0) or a URL (rtsp:// or http://) is looked at live until --duration or Ctrl-C; what
    comes too fast is skipped, and what was found is kept.
    With --engine ray so many workers share the videos, long ones in parts; results are the same
    with the same --threads.

    Exit codes: 0 all done; 1 some inputs failed or were read in part; 2 wrong use, or the only
    input is no video; 3 no weights; 5 the proposals or queries are of other videos.
    """
    from stadkit.detection import Options, load
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
        raise UsageError("--shard: name the folder of all shards with --output")
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
        options=Options(
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
        # What helps a score, a long tail of low ones, is clutter in a picture.
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
