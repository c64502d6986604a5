"""A redis-server of our own: append-only file on disk with every write, nothing evicted."""

import secrets
import shutil
import signal
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness import process

#: As in docmill's tests.
MEMORY_MAX = "256mb"


class RedisServer:
    def __init__(self, root: Path):
        self.program = shutil.which("redis-server")
        if not self.program:
            raise SystemExit("no redis-server on the path: `cargo xtask setup --for test` installs it")
        self.dir = root / "redis"
        self.dir.mkdir()
        self.port, self.password = process.free_port(), secrets.token_hex(16)
        config = self.dir / "redis.conf"
        config.touch(0o600)
        config.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\ndir {self.dir}\n"
            f'appendonly yes\nappendfsync always\nsave ""\ndaemonize no\n'
            f"maxmemory {MEMORY_MAX}\nmaxmemory-policy noeviction\n",
            encoding="utf-8",
        )
        # Without retries of its own: whoever asks wants to know that the server is away.
        self.client = redis.Redis(
            port=self.port, password=self.password, decode_responses=True, retry=Retry(NoBackoff(), 0)
        )
        self.start()

    def url(self, database: int) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        self.process = process.start([self.program, self.dir / "redis.conf"], self.dir / "log")
        process.wait_until("redis-server", self.answers)

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise SystemExit(f"redis-server ended:\n{(self.dir / 'log').read_text(encoding='utf-8')}")
        try:
            return self.client.ping()
        except redis.RedisError:
            return False

    def kill(self) -> None:
        process.kill_tree(self.process)

    def stop(self) -> None:
        process.stop(self.process, signal.SIGTERM)
