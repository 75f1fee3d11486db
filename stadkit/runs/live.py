"""`stadkit detect` on a camera or a stream: results are written as it plays and kept at the end."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from stadkit.console import console, one_line, write_json
from stadkit.detection.live import LiveWatch, check_live, over_at
from stadkit.detections import Detections
from stadkit.errors import StadkitError, UsageError
from stadkit.files.ava_csv import found_text
from stadkit.files.jsonl import keyframe_line
from stadkit.labels import Labels, write_labels
from stadkit.runs.folder import RunFolder, fingerprint, new_folder
from stadkit.runs.job import LABELS, Job, facts, with_classes
from stadkit.runs.messages import counted, make_summary, run_heading, summary_row, write_summary
from stadkit.runs.outputs import digests
from stadkit.runs.record import VideoRecord
from stadkit.video.live import LiveVideo
from stadkit.video.live_source import LiveSource, live_source

UNFINISHED_SUFFIX = ".live"  # of results that are not complete yet


def pick_live(inputs: Sequence[str], refused: Mapping[str, Any]) -> LiveSource | None:
    """The camera or stream among the inputs; None if they are files.

    `refused`: options that need a file, by their Python names. Raises UsageError if one of them
    is set, and for a live source with other inputs.
    """
    sources = [source for source in map(live_source, inputs) if source is not None]
    if not sources:
        return None
    if len(inputs) > 1:
        raise UsageError(f"{sources[0]}: a live source must be the only input; start one run each")
    for name, value in refused.items():
        if value:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option}: not with a live source; record it to a file first")
    return sources[0]


def refuse_url(source: LiveSource | None) -> None:
    """Raise UsageError for a URL in offline mode."""
    from stadkit.zoo.storage import is_offline

    if source is not None and source.camera is None and is_offline():
        raise UsageError(f"{source}: offline mode is on (--offline or HF_HUB_OFFLINE)")


class LiveResults:
    """NAME.csv and NAME.jsonl, written a keyframe at a time under temporary names until complete.

    Such files of a killed run are kept under new names.
    """

    def __init__(self, files: Sequence[Path], labels: Labels, min_action: float) -> None:
        """files: the paths of the CSV and the JSON lines."""
        self._files = files
        self._labels, self._min_action = labels, min_action
        self._open: list[IO[str]] = []
        self._complete = [0 for _ in files]  # bytes of the keyframes that are in all files
        self.keyframes = self.people = 0

    def __enter__(self) -> Self:
        for path in keep_unfinished(self._files):
            console.print(f"{path}: kept from a killed run")
        self._open = [
            unfinished(path).open("w", encoding="utf-8", newline="") for path in self._files
        ]
        return self

    def add(self, video: str, time: float, found: Detections) -> None:
        """Append a keyframe and flush the files."""
        table = with_classes(found, self._labels)
        table = replace(table, video=np.full(len(table), video))
        line = keyframe_line(video, time, table, self._labels, self._min_action)
        texts = (
            found_text(table, self._labels, self._min_action),
            json.dumps(line, ensure_ascii=False) + "\n",
        )
        for file, text in zip(self._open, texts, strict=True):
            file.write(text)
            file.flush()
        self._complete = [os.fstat(file.fileno()).st_size for file in self._open]
        self.keyframes += 1
        self.people += len(table)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Truncate the files to complete keyframes, the same in both, and give them their names."""
        for file, size in zip(self._open, self._complete, strict=True):
            with suppress(OSError):  # a full disk: what was flushed is kept
                file.close()
            os.truncate(file.name, size)
        for path in self._files:
            if self.keyframes:
                os.replace(unfinished(path), path)
            else:
                unfinished(path).unlink(missing_ok=True)


def unfinished(path: Path) -> Path:
    """The path of a result until it is complete."""
    return path.with_name(path.name + UNFINISHED_SUFFIX)


def keep_unfinished(files: Sequence[Path]) -> list[Path]:
    """Rename unfinished results of a killed run to NAME.csv.live-2, -3, ...; the new paths."""

    def numbered(path: Path, number: int) -> Path:
        return path.with_name(f"{unfinished(path).name}-{number}")

    free = next(n for n in count(2) if not any(numbered(path, n).exists() for path in files))
    kept = []
    for path in files:
        if unfinished(path).exists() and unfinished(path).stat().st_size:
            kept.append(unfinished(path).replace(numbered(path, free)))
    return kept


def detect_live(
    source: LiveSource, job: Job, output: Path | None, overwrite: bool, as_json: bool
) -> int:
    """Process the source until its end, the duration, Ctrl-C or a lost connection; the exit code.

    0: the duration or the end was reached; 1: the source could not be opened or was lost for good,
    or the run failed: earlier results are kept. Ctrl-C and SIGTERM are raised again once all is
    written.
    """
    check_live(job.detector)
    name = source.name
    run = RunFolder(output or new_folder("detect", name), {**facts(job), "live": True}, overwrite)
    files = [run.folder / f"{name}.csv", run.folder / f"{name}.jsonl"]
    # Runs of a live source are never the same.
    run.begin(name, fingerprint({"source": str(source), "time": time.time_ns()}), files)
    console.print(run_heading(job))
    console.print(f"{source}: running; Ctrl-C stops it and keeps the results")
    session = _Session(source, job, LiveResults(files, job.labels, job.min_action))
    started, code = time.perf_counter(), 1
    try:
        session.run()
        code = int(session.record.status != "ok")
    except (KeyboardInterrupt, SystemExit) as stop:
        code = 130 if isinstance(stop, KeyboardInterrupt) else int(stop.code or 0)
        raise
    except (StadkitError, OSError):
        if not session.results.keyframes:
            run.drop(name, files)
    finally:
        record = replace(session.record, seconds=round(time.perf_counter() - started, 2))
        console.print(_source_line(source, record, files[0]))  # before writing to a full disk
        try:
            if record.status != "failed":
                written = digests([path for path in files if path.exists()], run.folder)
                record = replace(record, outputs=written)
                write_labels(job.labels, run.folder / LABELS)
        finally:
            record = run.end(name, record)
            run.close()
            write_summary(make_summary([summary_row(name, record)], code), run.folder)
    if as_json:
        videos = [{"name": name, **record.to_json()}]
        write_json({"output": str(run.folder), "exit_code": code, "videos": videos})
    return code


class _Session:
    """One run of a live source; `record` says how it ended, also after an error."""

    def __init__(self, source: LiveSource, job: Job, results: LiveResults) -> None:
        self.source, self.job, self.results = source, job, results
        self.record = VideoRecord(
            "failed", input=str(source), outputs={}, reason="stopped by an internal error"
        )

    def run(self) -> None:
        """Process the source until its end or the duration; raises the error that stops it."""
        job, results = self.job, self.results
        until = over_at(job.detector, job.options)
        try:
            with (
                LiveVideo(
                    str(self.source), self.source.connect, console.print, until=until
                ) as video,
                results,
            ):
                watch = LiveWatch(job.detector, video, job.options)
                self._watch(video, watch)
        except (KeyboardInterrupt, SystemExit):
            if self.record.status == "failed":  # before the first frame
                self.record = replace(self.record, reason="interrupted")
            raise
        except (StadkitError, OSError) as error:
            if self.record.status == "failed":
                self.record = replace(self.record, reason=one_line(error))
            raise

    def _watch(self, video: LiveVideo, watch: LiveWatch) -> None:
        try:
            for key_time, table in watch:
                self.results.add(self.source.name, key_time, table)
        except (KeyboardInterrupt, SystemExit):
            self.record = self._ended(video, watch, "interrupted")
            raise
        except Exception as error:
            if self.results.keyframes:  # keep what was written
                fault = one_line(error) or type(error).__name__
                self.record = self._ended(video, watch, "", fault)
            raise
        self.record = self._ended(video, watch, "")

    def _ended(
        self, video: LiveVideo, watch: LiveWatch, reason: str, fault: str = ""
    ) -> VideoRecord:
        lost = fault or video.lost
        return replace(
            self.record,
            status="partial" if lost else "ok",
            reason=lost or reason,
            reader=video.info.reader,
            size=(video.info.height, video.info.width),
            rate=video.info.rate,
            frames=video.report.frames,
            keyframes=self.results.keyframes,
            people=self.results.people,
            batch=self.job.batch,
            live={
                "seconds": round(video.seconds, 3),
                "dropped frames": video.dropped,
                "skipped keyframes": watch.skipped,
                "keyframes in pauses": watch.paused,
                "time jumps": video.jumps,
                "reconnects": video.reconnects,
            },
        )


def _source_line(source: LiveSource, record: VideoRecord, path: Path) -> str:
    """One line on how the run of a source ended."""
    reason, live = record.reason or "", record.live
    if record.status == "failed" or live is None:
        return f"stadkit: error: {reason if str(source) in reason else f'{source}: {reason}'}"
    counts = f"{counted(record.people or 0, 'person')} in "
    counts += counted(record.keyframes or 0, "keyframe")
    if live["skipped keyframes"]:
        counts += f" ({live['skipped keyframes']} skipped to keep up)"
    if live["keyframes in pauses"]:
        counts += f", {counted(live['keyframes in pauses'], 'keyframe')} in pauses"
    if live["dropped frames"]:
        counts += f", {counted(live['dropped frames'], 'frame')} dropped"
    if live["reconnects"]:
        counts += f", {counted(live['reconnects'], 'reconnection')}"
    end = f"; PARTIAL: {reason}" if record.status == "partial" else ""
    return f"{source}: {counts}, {live['seconds']:.1f} s -> {path}{end}"
