"""The topics as they are on the brokers, held against the contract before anything is consumed or published."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from schemas.topics import INPUT_TOPICS, TOPICS, Topic
from service.stream.connection import Connection, StreamError

log = structlog.get_logger(__name__)

_NO_ERROR = 0
_ATTEMPT_SECONDS = 20.0
_PROPAGATION_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What the brokers have: their cluster's id, and the partitions of each topic by its name in the contract."""

    id: str
    partitions: Mapping[str, int]


async def verify_topics(
    connection: Connection, *, create: bool, replication_factor: int, within_seconds: float = _ATTEMPT_SECONDS
) -> Cluster:
    """Look whether every topic of the contract is there as the contract has it; make missing ones only when `create`.

    StreamError for brokers that do not answer within the seconds given, a missing topic, and one that is compacted and
    must not be, or the other way round: records would vanish. Unequal partitions are slow but right: a warning.
    """
    try:
        async with asyncio.timeout(within_seconds), _admin(connection) as admin:
            # The list of all topics: asking for one by name would make it, on brokers that make topics by themselves.
            found = await _partitions(admin)
            missing = [topic for topic in TOPICS if connection.topic(topic.name) not in found]
            if missing and create:
                await _create(admin, connection, missing, replication_factor)
                found = await _until_known(admin, {connection.topic(topic.name) for topic in missing})
            _refuse_missing(connection, found)
            await _refuse_cleanup(admin, connection)
            cluster = await _cluster(admin, connection, found)
    except (KafkaError, OSError, TimeoutError) as error:
        raise StreamError(connection.unreachable(error)) from error
    _warn_of_partitions(connection, cluster.partitions)
    return cluster


async def find_cluster(connection: Connection) -> Cluster:
    """What the brokers have, however it is set; missing topics are left out. KafkaError when they do not answer."""
    async with _admin(connection) as admin:
        return await _cluster(admin, connection, await _partitions(admin))


async def count_partitions(connection: Connection) -> dict[str, int]:
    """The partitions of every topic there is, by its name on the brokers. KafkaError when they do not answer."""
    async with _admin(connection) as admin:
        return await _partitions(admin)


@asynccontextmanager
async def _admin(connection: Connection) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**connection.arguments())
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _cluster(admin: AIOKafkaAdminClient, connection: Connection, found: Mapping[str, int]) -> Cluster:
    cluster = await admin.describe_cluster()
    partitions = {topic.name: found[name] for topic in TOPICS if (name := connection.topic(topic.name)) in found}
    return Cluster(id=str(cluster["cluster_id"]), partitions=partitions)


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, int]:
    topics = await admin.describe_topics()
    return {topic["topic"]: len(topic["partitions"]) for topic in topics}


async def _until_known(admin: AIOKafkaAdminClient, made: set[str]) -> dict[str, int]:
    """What there is once the brokers have heard of the topics made: Kafka's controller answers before they have."""
    while not made <= (found := await _partitions(admin)).keys():  # noqa: ASYNC110 -- nobody tells us
        await asyncio.sleep(_PROPAGATION_SECONDS)
    return found


async def _create(
    admin: AIOKafkaAdminClient, connection: Connection, topics: list[Topic], replication_factor: int
) -> None:
    wanted = [
        NewTopic(
            connection.topic(topic.name),
            topic.partitions,
            replication_factor,
            topic_configs={"cleanup.policy": "compact"} if topic.compacted else {},
        )
        for topic in topics
    ]
    answer = await admin.create_topics(wanted)
    for name, code, *message in answer.topic_errors:
        # Another worker may make the same topics at the same moment.
        if code != _NO_ERROR and for_code(code) is not TopicAlreadyExistsError:
            reason = message[0] if message and message[0] else for_code(code).__name__
            raise StreamError(f"topic {name} could not be made: {reason}; make it by hand, or mend what refuses it")
    log.info("topics made", topics=[topic.name for topic in wanted])


def _refuse_missing(connection: Connection, found: Mapping[str, int]) -> None:
    missing = [topic for topic in TOPICS if connection.topic(topic.name) not in found]
    if missing:
        names = ", ".join(connection.topic(topic.name) for topic in missing)
        partitions = ", ".join(str(topic.partitions) for topic in missing)
        raise StreamError(
            f"missing at {connection.bootstrap}: topic {names} (partitions: {partitions}); make them, or start once "
            "with --create-topics"
        )


async def _refuse_cleanup(admin: AIOKafkaAdminClient, connection: Connection) -> None:
    # All settings of each topic: the embedded broker hangs up when asked for one by name.
    resources = [ConfigResource(ConfigResourceType.TOPIC, connection.topic(topic.name)) for topic in TOPICS]
    policies: dict[str, str] = {}
    for answer in await admin.describe_configs(resources):
        for code, _message, _kind, name, entries in answer.resources:
            if code != _NO_ERROR:
                raise StreamError(f"topic {name}: its settings may not be read ({for_code(code).__name__}); allow it")
            settings = {str(entry[0]): str(entry[1]) for entry in entries}
            policies[name] = settings.get("cleanup.policy", "delete")  # Some brokers tell only what was set.
    for topic in TOPICS:
        name = connection.topic(topic.name)
        policy = policies[name]
        wanted = "compact" if topic.compacted else "delete"
        if policy != wanted:
            raise StreamError(f"topic {name}: expected cleanup.policy={wanted}, found {policy}; alter the topic")


def _warn_of_partitions(connection: Connection, partitions: Mapping[str, int]) -> None:
    counts = {connection.topic(topic.name): partitions[topic.name] for topic in INPUT_TOPICS}
    if len(set(counts.values())) > 1:
        log.warning("input topics have unequal partitions: correct, but workers wait for each other", partitions=counts)
