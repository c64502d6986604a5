"""kill -9 of workers and of Redis while documents come in: what was lost or doubled, how long it took."""

import math
import random
import statistics
import threading
import time
from dataclasses import dataclass, field

import redis

from harness import process
from harness.corpus import Generated
from harness.look import Look
from harness.redis_server import RedisServer
from harness.submit import Submitter
from harness.workers import Worker, unacknowledged

#: Documents of one task: small ones, so that a kill finds many tasks.
BATCH = 10
#: Documents prepared for each kill: what is taken in the longest time before it.
DOCUMENTS_A_KILL = 600
#: Tasks kept waiting while a kill is near, so that every worker is at work.
DEPTH = 8
#: From the last kill's recovery to the next kill.
BUSY_S = (0.5, 2.5)
#: Time between two tasks while a recovery is waited for.
TRICKLE_S = 1.0
#: A worker that dies while it looks for what to deliver again leaves a lock of so many seconds (kombu).
LOCK_S = 300
#: Beyond the time-out and that lock: looks for what to deliver again, a worker's start, a busy machine.
MARGIN_S = 60
#: Nothing in the broker and nothing new indexed for so long: what is missing does not come any more.
SILENCE_S = 15
LOOK_EVERY_S = 0.05


@dataclass
class Outcome:
    kills: int = 0
    #: Those that met a worker with documents that were not indexed.
    effective: int = 0
    redis_kills: int = 0
    #: Workers that ended by themselves, and were started again as a supervisor does.
    exits: int = 0
    #: From the kill to the first document indexed that the worker held; infinite where none was.
    recoveries_s: list[float] = field(default_factory=list)
    #: The same to the last of them.
    whole_recoveries_s: list[float] = field(default_factory=list)
    redis_recoveries_s: list[float] = field(default_factory=list)
    documents: int = 0
    lost: int = 0
    duplicate: int = 0
    partial: int = 0
    worked_twice: int = 0


class Feeder(threading.Thread):
    """Hands documents in all the time: as many as are taken while busy, else one task a second."""

    def __init__(self, submitter: Submitter, corpus: Generated):
        super().__init__(daemon=True)
        self.submitter, self.corpus = submitter, corpus
        self.busy, self.ended = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self.ended.is_set():
                self.feed()
        except Exception as error:  # told by whoever waits for this thread
            self.error = error

    def feed(self) -> None:
        if not self.busy.is_set():
            self.submitter.send(self.corpus.take(BATCH))
            self.busy.wait(TRICKLE_S)
            return
        try:
            waiting = self.submitter.waiting()
        except redis.RedisError:
            waiting = DEPTH  # away: asked again soon
        if waiting < DEPTH:
            self.submitter.send(self.corpus.take(BATCH))
        else:
            time.sleep(LOOK_EVERY_S)

    def end(self) -> None:
        self.ended.set()
        self.busy.set()
        self.join()
        if self.error is not None:
            raise SystemExit(f"documents could not be handed in: {self.error!r}") from self.error


class Trial:
    def __init__(self, server: RedisServer, look: Look, workers: list[Worker], visibility_s: int):
        self.server, self.look, self.workers = server, look, workers
        #: Longest wait for what a kill interrupted.
        self.limit_s = visibility_s + LOCK_S + MARGIN_S
        self.submitter = Submitter(server)
        self.outcome = Outcome()

    def run(self, corpus: Generated, seed: int, kills: int, redis_kills: int) -> Outcome:
        # Written before: who writes documents meanwhile cannot keep the workers at work.
        corpus.prepare((kills + redis_kills) * DOCUMENTS_A_KILL)
        self.feeder, self.random = Feeder(self.submitter, corpus), random.Random(seed)
        victims = ["worker"] * kills + ["redis"] * redis_kills
        self.random.shuffle(victims)
        self.feeder.start()
        for number, victim in enumerate(victims, 1):
            self.feeder.busy.set()
            self.pause(self.random.uniform(*BUSY_S))
            said = self.kill_worker() if victim == "worker" else self.kill_redis()
            print(f"kill {number} of {len(victims)}: {said}", flush=True)
        self.feeder.end()
        self.wait_for_the_rest()
        return self.judge()

    def pause(self, seconds: float) -> None:
        """Waits, and meanwhile starts workers again that ended: every deployment has somebody who does."""
        until = time.monotonic() + seconds
        while True:
            for worker in self.workers:
                if worker.process.poll() is not None:
                    print(f"{worker.name} ended by itself: {worker.last_words()}", flush=True)
                    self.outcome.exits += 1
                    # Its pool children may be left.
                    process.kill_tree(worker.process)
                    worker.start()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, LOOK_EVERY_S))

    def kill_worker(self) -> str:
        victim = self.random.choice(self.workers)
        at = victim.kill()
        self.feeder.busy.clear()
        self.outcome.kills += 1
        held = self.submitter.documents(unacknowledged(self.server) & victim.received())
        victim.start()
        # What was indexed before is only not acknowledged.
        done = self.look.indexed_at(held)
        missing = [path for path in held if path not in done]
        # A commit on its way at the kill shows only now, with a time before it.
        times = [after for after in self.wait_recovered(missing, at) if after > 0]
        if times:
            self.outcome.effective += 1
            self.outcome.recoveries_s.append(min(times))
            self.outcome.whole_recoveries_s.append(max(times))
            said = f"back after {min(times):.2f} s, all after {max(times):.2f} s"
        else:
            said = "none was missing"
        while not victim.is_ready():
            self.pause(LOOK_EVERY_S)
        return f"{victim.name} held {len(held)} documents, {said}"

    def wait_recovered(self, missing: list[str], at: float) -> list[float]:
        """Seconds from the kill until each was indexed; infinite for those that were not in time."""
        deadline = time.monotonic() + self.limit_s
        while True:
            found = self.look.indexed_at(missing)
            if len(found) == len(missing) or time.monotonic() > deadline:
                return [found.get(path, math.inf) - at for path in missing]
            self.pause(LOOK_EVERY_S)

    def kill_redis(self) -> str:
        held = self.submitter.documents(unacknowledged(self.server))
        self.server.kill()
        at = time.time()
        self.server.start()
        # What was in work is finished without Redis; work goes on when something else is indexed.
        ready, deadline = time.time(), time.monotonic() + self.limit_s
        while (first := self.look.first_after(ready, held)) is None and time.monotonic() < deadline:
            self.pause(LOOK_EVERY_S)
        self.feeder.busy.clear()
        self.outcome.redis_kills += 1
        self.outcome.redis_recoveries_s.append(math.inf if first is None else first - at)
        return f"redis, work goes on after {self.outcome.redis_recoveries_s[-1]:.2f} s"

    def wait_for_the_rest(self) -> None:
        submitted = len(self.submitter.documents())
        last, moved = -1, time.monotonic()
        while (indexed := self.look.indexed()) < submitted:
            waiting, given_out = self.submitter.waiting(), len(unacknowledged(self.server))
            in_broker = waiting + given_out
            if indexed > last:
                last, moved = indexed, time.monotonic()
                tasks = f"{waiting} tasks wait, {given_out} are given out"
                print(f"{indexed} of {submitted} are indexed; {tasks}", flush=True)
            if time.monotonic() - moved > (self.limit_s if in_broker else SILENCE_S):
                return
            self.pause(LOOK_EVERY_S)

    def judge(self) -> Outcome:
        outcome, submitted = self.outcome, set(self.submitter.documents())
        outcome.documents = len(submitted)
        indexed = self.look.uris()
        outcome.lost = len(submitted - indexed)
        for task, paths in self.submitter.tasks.items():
            if not indexed.issuperset(paths):
                print(f"lost: task {task}; {self.said_of(task)}")
        outcome.duplicate, outcome.partial = self.look.duplicates(), self.look.partial()
        # Results come after records: the last task writes its own a moment later.
        deadline = time.monotonic() + self.limit_s
        while unacknowledged(self.server) and time.monotonic() < deadline:
            self.pause(LOOK_EVERY_S)
        outcome.worked_twice = self.submitter.worked_twice()
        return outcome

    def said_of(self, task: str) -> str:
        """What workers logged of a task."""
        lines = [f"{worker.name}: {line}" for worker in self.workers for line in worker.lines_with(task)]
        return " | ".join(lines) or "no worker says that it got it"


def median(values: list[float]) -> float:
    return statistics.median(values) if values else math.nan


def most(values: list[float]) -> float:
    return max(values, default=math.nan)
