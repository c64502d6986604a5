"""Celery workers as processes: started, killed with their pool children, and asked what they held."""

import json
import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from harness import process
from harness.redis_server import RedisServer

#: What Celery logs, at the level that it recommends, when a worker got a task.
RECEIVED = re.compile(r"Task pipeline\.tasks\.index_documents\[([0-9a-f-]{36})\] received")

#: Of a worker's log, as much is told where it ends before its time.
SAID_CHARS_MAX = 3_000


@dataclass(frozen=True)
class Setup:
    """How workers are to run."""

    environment: dict[str, str]
    #: Pool children of each.
    concurrency: int
    log_dir: Path


class Worker:
    def __init__(self, setup: Setup, name: str):
        self.setup, self.name = setup, name
        self.log = setup.log_dir / f"{name}.log"
        self.start()

    def start(self) -> None:
        self.log_begins = self.log.stat().st_size if self.log.exists() else 0
        command = [sys.executable, "-m", "celery", "-A", "pipeline.config", "worker"]
        command += ["--loglevel", "INFO", "--concurrency", str(self.setup.concurrency)]
        # Without talk between workers that nothing here needs: they start sooner.
        command += ["--hostname", f"{self.name}@%h", "--without-gossip", "--without-mingle"]
        self.process = process.start(command, self.log, env=os.environ | self.setup.environment)

    def wait_ready(self) -> None:
        process.wait_until(f"{self.name} (its log: {self.log})", self.is_ready_or_raise)

    def is_ready_or_raise(self) -> bool:
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended:\n{self.said()[-SAID_CHARS_MAX:]}")
        return self.is_ready()

    def is_ready(self) -> bool:
        return " ready." in self.said()

    def last_words(self) -> str:
        """Why it ended, as it says."""
        critical = [line for line in self.said().splitlines() if "CRITICAL" in line]
        return critical[-1] if critical else f"its log says nothing of it: {self.log}"

    def said(self) -> str:
        """What this incarnation logged."""
        with self.log.open("rb") as log:
            log.seek(self.log_begins)
            return log.read().decode("utf-8", errors="replace")

    def lines_with(self, text: str) -> list[str]:
        """Lines with this, of all incarnations."""
        log = self.log.read_text(encoding="utf-8", errors="replace")
        return [line for line in log.splitlines() if text in line]

    def received(self) -> set[str]:
        """Tasks that this incarnation got, done or not."""
        return set(RECEIVED.findall(self.said()))

    def kill(self) -> float:
        """Kills it and its pool children. What is indexed after the moment given is not its work any more."""
        process.kill_tree(self.process)
        return time.time()

    def stop(self) -> None:
        # Warm: what is in work is finished.
        process.stop(self.process, signal.SIGTERM)


def unacknowledged(redis: RedisServer) -> set[str]:
    """Tasks that the broker gave out and that nobody acknowledged."""
    return {json.loads(entry)[0]["headers"]["id"] for entry in redis.client.hvals("unacked")}
