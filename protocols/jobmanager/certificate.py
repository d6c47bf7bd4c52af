"""What a user reads about a job: `certificate.txt` and `end.txt`. Renders ledger rows and reports; never reads itself.

The layout is the predecessor's, which clients parse: rows between two lines of sixteen equals signs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from jobmanager.budget import usd_text
from jobmanager.remedies import remedy
from jobmanager.rows import AttemptRow, EdgeRow, JobRow, LogLines
from jobmanager.states import AttemptState, EdgeState, JobState
from jobmanager.status import Status
from jobmanager.times import to_moment

_DIVIDER = "================"
_HINTS = (
    "Rows are brought up to date about once a minute while the job runs.",
    "The whole output of a dataset is in DATASET_NAME:<dataset>_STATUS.txt beside this file.",
)
_LONGEST, _MOST = 1500, 60
_MOST_BYTES = 60_000
"""Of what a user wrote and is told: a row of the ledger holds 400 KB, and holds this twice."""
_STEPS = ("Initialization", "Validation", "Environment Setup", "Initialize Processing")
_ADVICE = {
    JobState.SUCCEEDED: "All results are there.",
    JobState.PARTIAL: (
        "Results of the datasets that succeeded are in this folder; `ncap job resume` runs only the others again."
    ),
    JobState.FAILED: "What went wrong is in the certificate and in the STATUS files, in the folder logs.",
    JobState.REJECTED: "Nothing was started and nothing was charged. Correct the above and submit again.",
    JobState.CANCELLED: "The job was stopped; results written before are in this folder.",
}


@dataclass(frozen=True)
class LiveRow:
    """One dataset's row."""

    dataset: str
    status: str
    time: str
    is_finished: bool
    last_command: str
    cpu: str


def elapsed_cs(start: str, moment: datetime) -> int:
    """Hundredths of a second since the start of a request, for the log."""
    return max(0, int((moment - to_moment(start)).total_seconds() * 100))


def log_line(text: str, at_cs: int) -> str:
    """A line of the set-up log: text, tab, `[+h:mm:ss.cc]`."""
    seconds, hundredths = divmod(at_cs, 100)
    return f"{text}\t[+{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{hundredths:02d}]"


def opening_lines(job: JobRow) -> LogLines:
    """The first three lines of every set-up log."""
    start = job.created_at.replace("T", " ").replace("Z", " GMT")
    commit = f" (git commit {job.commit})" if job.commit else ""
    return (
        (0, f"REQUEST START TIME: {start}"),
        (0, f"ANALYSIS VERSION ID: {job.version_id or 'none'}{commit}"),
        (0, f"JOB ID: {job.timestamp}"),
    )


def step_done(number: int) -> str:
    """`STEP k/4 (name): DONE`."""
    return f"[Job Manager] STEP {number}/4 ({_STEPS[number - 1]}): DONE"


def refusal_lines(reasons: Iterable[str], *, step: int) -> tuple[str, ...]:
    """The lines that tell why a submission was refused."""
    head = f"[Job Manager] STEP {step}/4 ({_STEPS[step - 1]}): REFUSED"
    return (head, *(f"[JOB TERMINATE REASON] {_sentence(reason)}" for reason in reasons))


def live_rows(latest: Sequence[AttemptRow], statuses: Mapping[str, Status], *, now: str) -> tuple[LiveRow, ...]:
    """A row for the last attempt of each dataset; `statuses` by instance."""
    return tuple(_live_row(attempt, statuses.get(attempt.instance or ""), now) for attempt in latest)


def _live_row(attempt: AttemptRow, status: Status | None, now: str) -> LiveRow:
    if attempt.state in (AttemptState.SUCCEEDED, AttemptState.FAILED):
        last = attempt.last_line or attempt.message or "none"
        if attempt.state is AttemptState.FAILED:
            last = f"{attempt.failure}: {attempt.message or last}"
        state = "SUCCESS" if attempt.state is AttemptState.SUCCEEDED else "FAILED"
        return LiveRow(attempt.name, state, attempt.ended_at or now, True, last, attempt.cpu or "none")
    if status is None:
        word = "waiting for a free instance" if attempt.state is AttemptState.QUEUED else "starting the instance"
        return LiveRow(attempt.name, "INITIALIZING", attempt.launched_at or now, False, word, "none")
    return LiveRow(attempt.name, status.status, now, False, status.last_line or "none", status.cpu or "none")


def render_certificate(job: JobRow, rows: Sequence[LiveRow], *, history: LogLines = (), remaining: str = "") -> bytes:
    """The certificate. Without rows, before the first launch, only the set-up log."""
    log = sorted((*job.log, *history), key=lambda line: line[0])
    lines = [log_line(text, at) for at, text in log]
    if remaining:
        lines.append(log_line(remaining, log[-1][0] if log else 0))
    if rows:
        head = [
            f"DATA ANALYSIS MONITORING: job {job.job}, {job.state}",
            _DIVIDER,
            *(_row_text(row) for row in rows),
            _DIVIDER,
            *_HINTS,
            "",
            "+" * 64,
            "",
            "ENVIRONMENT SETUP LOG:",
        ]
        lines = head + lines
    return "\n".join(lines).encode("utf-8") + b"\n"


def _row_text(row: LiveRow) -> str:
    time = to_moment(row.time).strftime("%Y_%m_%d_%H_%M_%S") + (" (finished)" if row.is_finished else "")
    last = _sentence(row.last_command, stop="")
    return (
        f"DATANAME: {row.dataset} | STATUS: {row.status} | TIME: {time} | LAST COMMAND: {last} | CPU_USAGE: {row.cpu}"
    )


def attempt_history(job: JobRow, attempts: Sequence[AttemptRow]) -> LogLines:
    """A line for every attempt that was not the last of its dataset: retries are visible."""
    lines = []
    for attempt, follower in pairwise(attempts):
        if attempt.index == follower.index and attempt.ended_at:
            text = (
                f"[Job Manager] {attempt.name}: attempt {attempt.attempt} ended ({attempt.failure}: "
                f"{attempt.message}) at a cost of {usd_text(attempt.cost_micro)}; tried again"
            )
            lines.append((elapsed_cs(job.created_at, to_moment(attempt.ended_at)), text))
    return tuple(lines)


def edge_history(job: JobRow, edges: Sequence[EdgeRow]) -> LogLines:
    """A line for every next job, or why there is none."""
    return tuple(
        (elapsed_cs(job.created_at, to_moment(edge.moved_at)), f"[Job Manager] NEXT STEP {sentence}")
        for edge, sentence in zip(edges, edge_sentences(edges), strict=True)
    )


def edge_sentences(edges: Sequence[EdgeRow]) -> tuple[str, ...]:
    """What follows a job, a sentence for each edge."""
    return tuple(f"{edge.number} ({edge.type}, {edge.analysis}): {_edge_words(edge)}" for edge in edges)


def _edge_words(edge: EdgeRow) -> str:
    why = _sentence(edge.message or "")
    job = f"job {edge.next_job} in bucket {edge.next_bucket}"
    if edge.next_job is None:
        return {
            EdgeState.WAITING: "waits for the end of this job",
            EdgeState.READY: "is being submitted",
            EdgeState.SUBMITTED: f"submitted to bucket {edge.next_bucket} as {edge.timestamp}",
        }.get(edge.state, f"not started: {why}")
    if edge.state is EdgeState.SUBMITTED:
        return f"{job} was started"
    return f"{job} was refused: {why}" if edge.state is EdgeState.REJECTED else f"{job} ended: {edge.state}"


def render_end(outcome: JobState, sentences: Iterable[str]) -> bytes:
    """`end.txt`: the outcome, a blank line, plain sentences, what to do."""
    lines = [outcome.value, "", *(_sentence(text) for text in sentences), _ADVICE[outcome]]
    return "\n".join(lines).encode("utf-8") + b"\n"


def dataset_sentences(job: JobRow, latest: Sequence[AttemptRow], memory_gib: Mapping[str, int]) -> tuple[str, ...]:
    """How each dataset ended and, where it failed, what to do; and what the job cost."""
    ends = [
        f"{it.name}: succeeded"
        if it.state is AttemptState.SUCCEEDED
        else f"{it.name}: {it.failure}: {_sentence(it.message or '')} Remedy: {remedy(job, it, memory_gib)}"
        for it in latest
    ]
    return (*ends, f"Cost of the job: {usd_text(job.cost_micro)}")


def clipped(texts: Sequence[str]) -> tuple[str, ...]:
    """Texts that hold what a user wrote, as a ledger row can hold them: printable, not too long, not too many."""
    short: list[str] = []
    room = _MOST_BYTES
    for text in texts[:_MOST]:
        plain = _sentence(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…", stop="")
        room -= len(plain.encode("utf-8"))
        if room < 0:
            break
        short.append(plain)
    return (*short, *([f"… and {len(texts) - len(short)} more"] if len(texts) > len(short) else ()))


def _sentence(text: str, stop: str = ".") -> str:
    """One line that ends in a full stop: what users wrote must not start lines of its own."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text).strip()
    return plain if plain.endswith((".", "?", "!")) or not stop else plain + stop
