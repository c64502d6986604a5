"""Hands documents in, as a program beside the pipeline does: by the task's name."""

import json
import time
import uuid

import celery
import kombu.exceptions
import redis

from harness.redis_server import RedisServer

TASK = "pipeline.tasks.index_documents"
#: The list that Redis' transport keeps for Celery's default queue.
QUEUE = "celery"
#: Databases of the broker and of the results.
BROKER, RESULTS = 0, 1
#: Wait before a task that the broker did not take is handed in again.
AGAIN_AFTER_S = 0.1
RESULTS_TOGETHER = 500
AWAY = (kombu.exceptions.OperationalError, redis.RedisError, OSError, RuntimeError)


class Submitter:
    def __init__(self, server: RedisServer):
        self.server = server
        # Without results: it would subscribe to each task's, and gives up when Redis dies.
        self.app = celery.Celery(broker=server.url(BROKER))
        #: Documents of each task.
        self.tasks: dict[str, list[str]] = {}

    def send(self, paths: list[str]) -> None:
        """Hands in one task, and goes on until the broker has it. Its id stays, so it may be there twice."""
        task = str(uuid.uuid4())
        self.tasks[task] = paths
        while True:
            try:
                self.app.send_task(TASK, args=(paths,), task_id=task)
                return
            except AWAY:
                time.sleep(AGAIN_AFTER_S)

    def send_all(self, paths: list[str], batch: int) -> None:
        for at in range(0, len(paths), batch):
            self.send(paths[at : at + batch])

    def documents(self, tasks: set[str] | None = None) -> list[str]:
        """Documents of these tasks, or of all; a task of somebody else has none."""
        chosen = list(self.tasks) if tasks is None else tasks
        return [path for task in chosen for path in self.tasks.get(task, [])]

    def waiting(self) -> int:
        """Tasks that no worker has got yet."""
        return self.server.client.llen(QUEUE)

    def worked_twice(self) -> int:
        """Documents that tasks found indexed already: as each is submitted once, work done again."""
        skipped = 0
        tasks = list(self.tasks)
        with redis.Redis.from_url(self.server.url(RESULTS)) as results:
            for at in range(0, len(tasks), RESULTS_TOGETHER):
                some = tasks[at : at + RESULTS_TOGETHER]
                for found in results.mget([f"celery-task-meta-{task}" for task in some]):
                    result = json.loads(found)["result"] if found else None
                    skipped += result["skipped"] if isinstance(result, dict) and "skipped" in result else 0
        return skipped
