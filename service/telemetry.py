"""What we tell about our work while it runs: log lines and metrics. Payloads and names of people are in neither."""

import logging
import sys
from collections.abc import Iterable, Mapping

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BATCH_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_QUIET_LOGGERS = ("aiokafka", "faststream", "exportgate.faststream", "uvicorn", "sqlalchemy")

_CALM_SECONDS = 30.0
_LINES_REMEMBERED = 1_000


def configure_logging(*, as_json: bool, level: str) -> None:
    """Log to standard error: one JSON object a line, or text for a person. Libraries are heard from warnings on."""
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    trace = structlog.processors.format_exc_info
    structlog.configure(
        processors=[*shared, *([trace] if as_json else []), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *([trace] if as_json else []),
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_Calm())
    logging.root.handlers = [handler]
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns at each start that it makes no topics, which is as we want it.
    logging.getLogger("exportgate.faststream").addFilter(lambda one: "Auto create topics" not in one.getMessage())


class _Calm(logging.Filter):
    """Lets a library say the same thing, whatever the values in it, once in 30 seconds, and counts the rest.

    While a broker is away its client would write dozens of lines a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; then it tells how many like it were not."""
        if record.levelno >= logging.CRITICAL or not isinstance(record.msg, str):
            return True
        said = (record.name, record.msg)
        last, left_out = self._said.get(said, (-_CALM_SECONDS, 0))
        if record.created - last < _CALM_SECONDS:
            self._said[said] = last, left_out + 1
            return False
        if len(self._said) >= _LINES_REMEMBERED:
            self._said.clear()
        self._said[said] = record.created, 0
        if left_out:
            record.msg += f" ({left_out} more like it before)"
        return True


class Metrics:
    """The metrics of one running service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = self._counter("events", "Records done, by what became of each.", "fate")
        self.decisions = self._counter("decisions", "Decisions made, by outcome: approve, hold or deny.", "outcome")
        self.batch_seconds = Histogram(
            "exportgate_batch_seconds",
            "Seconds from a polled batch to its committed transaction, waits and retries included.",
            buckets=_BATCH_SECONDS,
            registry=self.registry,
        )
        self.batch_records = self._counter("batch_records", "Records polled, those polled again included.")
        self.retries = self._counter(
            "retries", "Times a batch had to wait and be tried again, by what was missing.", "reason"
        )
        self.open_bugs = self._gauge(
            "open_bugs",
            "Open records that met a bug of ours (reason BUG), of all workers; see `exportgate quarantine list`.",
        )
        self.misplaced = self._counter(
            "misplaced_records",
            "Records on another partition than Kafka's default one for their key: decided rightly, but slower.",
            "topic",
        )
        self.seeks = self._counter("seeks", "Times a partition was sought to the ledger's position, by why.", "reason")
        self.lag = self._gauge("lag_records", "Records of a partition that are not decided yet.", "topic", "partition")
        self.position = self._gauge(
            "position_offset", "Next offset of a partition to be decided, by the ledger.", "topic", "partition"
        )
        self.halted = self._gauge(
            "halted_partition", "1 for a partition that waits for a person; see `exportgate positions list`.",
            "topic", "partition", "reason",
        )  # fmt: skip
        self.assigned = self._gauge("assigned_partitions", "Partitions that this process consumes.")
        self.backlog = self._gauge("relay_backlog_entries", "Journal entries that wait to be published, of all lanes.")
        self.relay_published = self._counter("relay_published", "Records acknowledged by the brokers.", "topic")
        self.relay_failures = self._counter("relay_failures", "Rounds of the relay that failed and were tried again.")
        self.relay_refused = self._gauge(
            "relay_refused_entries", "Entries that no broker takes, put aside; see `exportgate relay list`."
        )
        self.relay_repaired = self._counter(
            "relay_repaired", "Statuses published again because a round of the relay ended in doubt."
        )
        self.status_compared = self._counter(
            "status_compared", "Records of the status topic that this process has held against the ledger."
        )
        self.status_mended = self._counter(
            "status_mended", "Statuses published again because the topic said something else than the ledger."
        )
        self.status_unknown = self._counter(
            "status_unknown", "Records of the status topic about subjects that the ledger does not know."
        )
        self.blockers_ended = self._counter(
            "blockers_ended",
            "Sessions ended because they held what others waited for and said nothing: frozen workers.",
        )
        self.policy_in_force = self._gauge(
            "policy_in_force", "1 for the policy version that decides now.", "name", "version", "sha256"
        )
        self.signatures_demanded = self._gauge(
            "policy_signatures_demanded", "1 when activations need signatures, 0 while one officer may activate alone."
        )
        self.countersignatures_due = self._gauge(
            "policy_countersignatures_due", "Emergency activations that nobody has countersigned yet."
        )
        self.countersignatures_overdue = self._gauge(
            "policy_countersignatures_overdue", "Those of them that have stood for longer than they may: 24 hours."
        )
        self.shadow_running = self._gauge(
            "shadow_running", "1 for the candidate in shadow.", "name", "version", "sha256"
        )
        self.shadow_decisions = self._gauge(
            "shadow_decisions",
            "Decisions that the candidate in shadow was tried on since it started, by what was decided and by what it "
            "gives: approve, hold or deny, or erased, unreadable or error.",
            "before", "after",
        )  # fmt: skip
        self.shadow_errors = self._gauge("shadow_errors", "Decisions on which the candidate in shadow met a bug.")
        self.shadow_lag = self._gauge("shadow_lag_entries", "Entries that the shadow has not looked at yet, all lanes.")
        self.shadow_failures = self._counter(
            "shadow_failures", "Times that the process of the shadow ended by itself, and was started again later."
        )

    def published(self, topics: Iterable[str]) -> None:
        """Count acknowledged records by their topic in the contract."""
        for topic in topics:
            self.relay_published.labels(topic=topic).inc()

    def decided(self, fates: Mapping[str, int], outcomes: Mapping[str, int]) -> None:
        """Count what became of a batch."""
        for fate, count in fates.items():
            self.events.labels(fate=fate).inc(count)
        for outcome, count in outcomes.items():
            self.decisions.labels(outcome=outcome).inc(count)

    def in_force(self, name: str, version: str, sha256: str) -> None:
        """Show this policy version, and no other, as the one in force."""
        self.policy_in_force.clear()
        self.policy_in_force.labels(name=name, version=version, sha256=sha256).set(1)

    def shadowed(self, name: str, version: str, sha256: str, counts: Mapping[tuple[str, str], int], lag: int) -> None:
        """Show this candidate, and no other, as the one in shadow; `counts` are by outcome before and after."""
        self.not_shadowed()
        self.shadow_running.labels(name=name, version=version, sha256=sha256).set(1)
        for (before, after), count in counts.items():
            self.shadow_decisions.labels(before=before, after=after).set(count)
        self.shadow_errors.set(sum(count for (_, after), count in counts.items() if after == "error"))
        self.shadow_lag.set(lag)

    def not_shadowed(self) -> None:
        """Show that no candidate is in shadow."""
        self.shadow_running.clear()
        self.shadow_decisions.clear()
        self.shadow_errors.set(0)
        self.shadow_lag.set(0)

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"exportgate_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"exportgate_{name}", about, labels, registry=self.registry)
