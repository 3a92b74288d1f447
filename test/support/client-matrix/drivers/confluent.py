"""confluent-kafka's part in the client matrix: `confluent.py <create|produce|consume|committed> <options as JSON>`.

`produce` reads a JSON object a line, {"key", "value"}; `consume` prints one for each of its events, until SIGTERM.
"""

import json
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

COMMAND, OPTIONS = sys.argv[1], json.loads(sys.argv[2])
BOOTSTRAP = {"bootstrap.servers": OPTIONS["bootstrap"], "client.id": "confluent"}
TIMEOUT_S = 25
COMMIT_S = 0.2


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}, separators=(",", ":")), flush=True)


def create():
    topic = NewTopic(OPTIONS["topic"], num_partitions=OPTIONS["partitions"], replication_factor=OPTIONS["replicas"])
    admin = AdminClient(BOOTSTRAP)
    for made in admin.create_topics([topic], operation_timeout=TIMEOUT_S).values():
        made.result(TIMEOUT_S)


def produce():
    failures = []
    producer = Producer({**BOOTSTRAP, "acks": "all", "compression.type": OPTIONS["codec"], "linger.ms": 20, "request.timeout.ms": 5000, "reconnect.backoff.max.ms": 500})
    for line in sys.stdin:
        message = json.loads(line)
        producer.produce(OPTIONS["topic"], message["value"], message["key"], on_delivery=lambda error, _message: error and failures.append(error.str()))
    left = producer.flush(TIMEOUT_S)
    if left or failures:
        sys.exit("%d without an answer, failed: %s" % (left, failures[:3]))


def consume():
    stopping = []
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stopping.append(True))

    def committed(error, partitions):
        if error is None:
            tell("committed", offsets={p.partition: p.offset for p in partitions if p.offset >= 0})

    # On its own it has many commits under way, and repeats those of a lost coordinator in no order: a later one may land first.
    one_by_one = OPTIONS.get("commitsOneByOne", False)

    def commit():
        try:
            consumer.commit(asynchronous=False)
        except KafkaException:
            # Nothing is new, or the next one makes up for it.
            pass

    def revoked(_consumer, partitions):
        if one_by_one:
            commit()
        tell("revoked", partitions=[p.partition for p in partitions])

    instance = {"group.instance.id": OPTIONS["instanceId"]} if "instanceId" in OPTIONS else {}
    cooperative = OPTIONS.get("cooperative", False)
    consumer = Consumer({
        **BOOTSTRAP, **instance, "partition.assignment.strategy": "cooperative-sticky" if cooperative else "range,roundrobin",
        "group.id": OPTIONS["group"], "auto.offset.reset": "earliest", "enable.auto.commit": not one_by_one, "auto.commit.interval.ms": int(COMMIT_S * 1000),
        "session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "on_commit": committed,
    })
    consumer.subscribe(
        [OPTIONS["topic"]],
        on_assign=lambda _consumer, partitions: tell("added" if cooperative else "assigned", partitions=[p.partition for p in partitions]),
        on_revoke=revoked,
    )
    committed_at = time.monotonic()
    while not stopping:
        # Before the next message: one that was not told of is not committed.
        if one_by_one and time.monotonic() - committed_at > COMMIT_S:
            commit()
            committed_at = time.monotonic()
        message = consumer.poll(0.1)
        if message is None:
            continue
        if message.error():
            tell("error", message=str(message.error()))
            continue
        key = message.key()
        tell("record", partition=message.partition(), offset=message.offset(), key=key and key.decode(), value=message.value().decode())
    consumer.close()


def committed():
    consumer = Consumer({**BOOTSTRAP, "group.id": OPTIONS["group"]})
    partitions = [TopicPartition(OPTIONS["topic"], p) for p in range(OPTIONS["partitions"])]
    print(json.dumps({p.partition: p.offset for p in consumer.committed(partitions, TIMEOUT_S) if p.offset >= 0}))
    consumer.close()


{"create": create, "produce": produce, "consume": consume, "committed": committed}[COMMAND]()
