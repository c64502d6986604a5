"""The Celery application, configured for reliability as its documentation recommends.

Settings that differ from what Celery ships say why; all others are as shipped.
"""

import os

from celery import Celery

#: What Redis' transport ships with. Measured rates use it; the kill test states another one.
VISIBILITY_TIMEOUT_SHIPPED_S = 3_600
#: Results are kept for a day, as shipped.
RESULTS_KEPT_S = 86_400


def needed(name: str) -> str:
    """A setting from the environment; there is no default that could reach a wrong server."""
    value = os.environ.get(name)
    if not value:
        raise SystemExit(f"{name} is not set: start the pipeline through bench/peers/run.sh")
    return value


def transport_options() -> dict:
    """How Redis stands in for a broker: when what nobody acknowledged is delivered again."""
    options = {"visibility_timeout": int(os.environ.get("PEER_VISIBILITY_S", VISIBILITY_TIMEOUT_SHIPPED_S))}
    sweep_s = os.environ.get("PEER_SWEEP_S")
    if sweep_s:
        # Else unacknowledged messages are looked for every 10 x 10 s, however short the time-out is.
        options["unacked_restore_interval"] = float(sweep_s)
        options["unacked_restore_throttle"] = 1
    return options


app = Celery(
    "pipeline",
    broker=needed("PEER_BROKER_URL"),
    backend=needed("PEER_RESULT_URL"),
    include=["pipeline.tasks"],
)
app.conf.update(
    # Acknowledged when done, not when begun: a worker that dies leaves its tasks to others.
    task_acks_late=True,
    # A pool child that dies puts its task back; as shipped the task would count as failed.
    task_reject_on_worker_lost=True,
    broker_transport_options=transport_options(),
    # The documentation wants the time-out in all three places.
    result_backend_transport_options={"visibility_timeout": transport_options()["visibility_timeout"]},
    visibility_timeout=transport_options()["visibility_timeout"],
    # Tasks that a worker has beyond those it works on; long ones should wait at the broker.
    worker_prefetch_multiplier=int(os.environ.get("PEER_PREFETCH", "1")),
    # As shipped, and stated as it matters: what runs while the broker is away is finished, delivered again,
    # and found done. With True a task was revoked and lost when Redis, the result backend, was away too.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    # Workers outlive a broker that is away for longer than the shipped 100 tries.
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    result_expires=RESULTS_KEPT_S,
    task_serializer="json",
    accept_content=["json"],
    result_serializer="json",
)
