"""`bench/peers/run.sh [--documents N] [--kills N] …`: the whole measurement; `--help` lists the rest."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from harness import kills, rate
from harness.corpus import Folder, Generated
from harness.look import Look
from harness.postgres_server import PostgresServer
from harness.redis_server import RedisServer
from harness.submit import BROKER, RESULTS, Submitter
from harness.workers import Setup, Worker

HERE = Path(__file__).resolve().parent.parent
VISIBILITY_SHIPPED_S = 3_600
#: Batches at least so large are long tasks: none is taken before the last is done, as Celery's
#: guide to optimizing says. Small ones are taken four at a time for each pool child, as shipped.
LONG_BATCH = 10
PREFETCH_LONG, PREFETCH_SHORT = 1, 4


class Bench:
    """Servers, and what is measured on them."""

    def __init__(self, options: argparse.Namespace, root: Path):
        self.options, self.root = options, root
        self.servers: list = []
        self.workers: list[Worker] = []
        self.figures: dict[str, object] = {}

    def start_servers(self) -> None:
        self.redis = RedisServer(self.root)
        self.servers.append(self.redis)
        self.postgres = PostgresServer(self.root, cache())
        self.servers.append(self.postgres)

    def start_workers(self, name: str, database: str, batch: int, environment: dict[str, str]) -> None:
        common = {
            "PYTHONPATH": str(HERE),
            "PEER_BROKER_URL": self.redis.url(BROKER),
            "PEER_RESULT_URL": self.redis.url(RESULTS),
            "PEER_DATABASE_URL": database,
            "PEER_PREFETCH": str(PREFETCH_LONG if batch >= LONG_BATCH else PREFETCH_SHORT),
        }
        setup = Setup(common | environment, self.options.concurrency, self.root)
        for number in range(self.options.workers):
            self.workers.append(Worker(setup, f"{name}-{number}"))
        for worker in self.workers:
            worker.wait_ready()

    def stop_workers(self) -> None:
        while self.workers:
            self.workers.pop().stop()

    def stop(self) -> None:
        self.stop_workers()
        while self.servers:
            self.servers.pop().stop()

    def measure_rates(self) -> None:
        options = self.options
        schema = (HERE / "pipeline/schema.sql").read_text(encoding="utf-8")
        database = self.postgres.fresh("rates", schema)
        look = Look(database)
        corpus = Folder(options.corpus) if options.corpus else Generated(self.root / "rates", options.seed)
        for batch in options.batches:
            print(f"# rate, {batch} documents a task", flush=True)
            warm_up, measured = corpus.take(options.warm_up), corpus.take(options.documents)
            self.start_workers(f"rate{batch}", database, batch, {})
            submitter = Submitter(self.redis)
            heads = rate.heads_of(self.workers, self.postgres.process.pid, self.redis.process.pid)
            rate.measure(look, submitter, warm_up, batch, heads)
            found = rate.measure(look, submitter, measured, batch, heads)
            print(f"docs_per_s={found.docs_per_s:.1f} docs_per_h={found.docs_per_s * 3_600:.0f}")
            for process, share in found.cpu.items():
                print(f"  cpu {process}: {share:.2f} of one processor", flush=True)
            self.note_rate(batch, found)
            self.stop_workers()
        self.figures["chunks_per_doc"] = f"{look.chunks_per_document():.2f}"
        self.figures["concepts_per_chunk"] = f"{look.concepts_per_chunk():.2f}"

    def note_rate(self, batch: int, found: rate.Rate) -> None:
        """The first batch size is the pipeline's own; others are told beside it."""
        if "docs_per_s" in self.figures:
            self.figures[f"docs_per_s_{batch}_a_task"] = f"{found.docs_per_s:.1f}"
            return
        self.figures["docs_per_s"] = f"{found.docs_per_s:.1f}"
        self.figures["docs_per_h"] = f"{found.docs_per_s * 3_600:.0f}"
        self.figures["docs_a_task"] = batch
        in_workers = sum(share for name, share in found.cpu.items() if name.startswith("rate"))
        shares = {"workers": in_workers} | found.cpu
        for name in ("workers", "postgres", "redis", "harness"):
            self.figures[f"cpu_{name}"] = f"{shares[name]:.2f}"

    def kill(self) -> None:
        options = self.options
        print(f"# kills, visibility time-out {options.visibility} s", flush=True)
        # Tasks and results of the rates are no part of it.
        self.redis.client.flushall()
        schema = (HERE / "pipeline/schema.sql").read_text(encoding="utf-8")
        database = self.postgres.fresh("kills", schema)
        environment = {"PEER_VISIBILITY_S": str(options.visibility), "PEER_SWEEP_S": str(options.sweep)}
        self.start_workers("kill", database, kills.BATCH, environment)
        # Another seed: other documents than those of the rates.
        corpus = Generated(self.root / "kills", options.seed + 1)
        trial = kills.Trial(self.redis, Look(database), self.workers, options.visibility)
        found = trial.run(corpus, options.seed, options.kills, options.redis_kills)
        self.figures |= {
            "kills": found.kills + found.redis_kills,
            "worker_kills": found.kills,
            "effective_worker_kills": found.effective,
            "redis_kills": found.redis_kills,
            "worker_exits": found.exits,
            "documents": found.documents,
            "lost": found.lost,
            "duplicate": found.duplicate,
            "partial": found.partial,
            "worked_twice": found.worked_twice,
            "recovery_p50_s": f"{kills.median(found.recoveries_s):.2f}",
            "recovery_max_s": f"{kills.most(found.recoveries_s):.2f}",
            "recovery_whole_max_s": f"{kills.most(found.whole_recoveries_s):.2f}",
            "redis_recovery_max_s": f"{kills.most(found.redis_recoveries_s):.2f}",
            "visibility_timeout_s": options.visibility,
            "visibility_timeout_shipped_s": VISIBILITY_SHIPPED_S,
        }
        self.stop_workers()


def cache() -> Path:
    """Where setup puts servers; run.sh says it."""
    return Path(os.environ["DOCMILL_CACHE"])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/peers/run.sh", description="A Celery pipeline, measured.")
    whole = positive(1)
    parser.add_argument("--documents", type=whole, default=2_000, help="measured documents (2000)")
    parser.add_argument("--warm-up", type=whole, default=300, help="documents before the clock begins (300)")
    batches = "documents of one task and transaction, measured one after the other (100,1)"
    parser.add_argument("--batches", type=sizes, default=[100, 1], help=batches)
    parser.add_argument("--workers", type=whole, default=2, help="worker processes (2)")
    parser.add_argument("--concurrency", type=whole, default=2, help="pool children of each worker (2)")
    parser.add_argument("--kills", type=positive(0), default=10, help="kills of a worker (10)")
    parser.add_argument("--redis-kills", type=positive(0), default=2, help="kills of Redis (2)")
    visibility = "visibility time-out in the kill test, in seconds (10); rates have the shipped 3600"
    parser.add_argument("--visibility", type=whole, default=10, help=visibility)
    parser.add_argument("--sweep", type=whole, default=1, help="seconds between looks for what timed out (1)")
    parser.add_argument("--seed", type=positive(0), default=17, help="of documents and kills (17)")
    parser.add_argument("--corpus", type=Path, help="folder of .txt files to measure rates with")
    parser.add_argument("--only", choices=["rates", "kills"], help="one part")
    return parser.parse_args()


def positive(least: int):
    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= 1_000_000:
            raise argparse.ArgumentTypeError(f"{value} is not from {least} to 1000000")
        return value

    return number


def sizes(text: str) -> list[int]:
    return [positive(1)(part) for part in text.split(",")]


def main() -> None:
    options = parse()
    # A stop request ends the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="docmill-peer-"))
    bench, whole = Bench(options, root), False
    try:
        bench.start_servers()
        if options.only != "kills":
            bench.measure_rates()
        if options.only != "rates" and options.kills + options.redis_kills:
            bench.kill()
        whole = not bench.figures.get("lost")
    finally:
        bench.stop()
        if whole:
            shutil.rmtree(root, ignore_errors=True)
        else:
            print(f"logs are kept in {root}", file=sys.stderr)
    bench.figures["seconds"] = f"{time.monotonic() - began:.1f}"
    print("\npeer celery: " + " ".join(f"{name}={value}" for name, value in bench.figures.items()))


if __name__ == "__main__":
    main()
