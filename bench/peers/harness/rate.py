"""Documents a second: warm up, hand in, wait until all are indexed."""

import os
import time
from dataclasses import dataclass

from harness import process
from harness.look import Look
from harness.submit import Submitter
from harness.workers import Worker

#: Longest wait for one more document.
STANDSTILL_MAX_S = 60
LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Rate:
    docs_per_s: float
    #: Share of one processor that each process took.
    cpu: dict[str, float]


def measure(look: Look, submitter: Submitter, paths: list[str], batch: int, heads: dict[str, int]) -> Rate:
    """The clock begins before the first document is handed in; `heads` are processes with a name each."""
    target = look.indexed() + len(paths)
    before, began = seconds(heads), time.monotonic()
    submitter.send_all(paths, batch)
    wait_indexed(look, target)
    took = time.monotonic() - began
    after = seconds(heads)
    return Rate(len(paths) / took, {name: (after[name] - before[name]) / took for name in after})


def wait_indexed(look: Look, target: int) -> None:
    last, moved = -1, time.monotonic()
    while (indexed := look.indexed()) < target:
        if indexed > last:
            last, moved = indexed, time.monotonic()
        if time.monotonic() - moved > STANDSTILL_MAX_S:
            raise SystemExit(f"{indexed} of {target} documents are indexed, and none for {STANDSTILL_MAX_S} s")
        time.sleep(LOOK_EVERY_S)
    if look.failed():
        raise SystemExit(f"{look.failed()} documents failed")


def seconds(heads: dict[str, int]) -> dict[str, float]:
    used = {name: process.cpu_seconds(head) for name, head in heads.items()}
    return used | {"harness": process.cpu_seconds(os.getpid(), with_children=False)}


def heads_of(workers: list[Worker], postgres: int, redis: int) -> dict[str, int]:
    return {worker.name: worker.process.pid for worker in workers} | {"postgres": postgres, "redis": redis}
