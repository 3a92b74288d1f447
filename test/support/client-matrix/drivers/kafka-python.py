"""kafka-python's part in the client matrix: `kafka-python.py <create|produce|consume|committed|read> <options as JSON>`.

`produce` reads a JSON object a line, {"key", "value"}; `consume` prints one for each of its events, until SIGTERM;
`read` prints `count` records of partition 0 from offset `from` on. With "apiVersion" it speaks as to a broker of that age.
"""

import json
import logging
import signal
import sys

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
COMMAND, OPTIONS = sys.argv[1], json.loads(sys.argv[2])
VERSION = tuple(OPTIONS["apiVersion"]) if "apiVersion" in OPTIONS else None
CLIENT = {"bootstrap_servers": OPTIONS["bootstrap"].split(","), "client_id": "kafka-python", "api_version": VERSION}
TIMEOUT_S = 25


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}, separators=(",", ":")), flush=True)


def text(value):
    return None if value is None else value.decode()


def create():
    admin = KafkaAdminClient(**CLIENT)
    answer = admin.create_topics([NewTopic(OPTIONS["topic"], OPTIONS["partitions"], OPTIONS["replicas"])])
    if any(error[1] != 0 for error in answer.topic_errors):
        sys.exit(str(answer))
    admin.close()


def produce():
    codec = None if OPTIONS["codec"] == "none" else OPTIONS["codec"]
    producer = KafkaProducer(**CLIENT, acks="all", compression_type=codec, linger_ms=20, request_timeout_ms=TIMEOUT_S * 1000)
    messages = [json.loads(line) for line in sys.stdin]
    sent = [producer.send(OPTIONS["topic"], m["value"].encode(), m["key"].encode()) for m in messages]
    producer.flush(TIMEOUT_S)
    for future in sent:
        future.get(TIMEOUT_S)
    producer.close()


class Listener(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        tell("revoked", partitions=[p.partition for p in revoked])

    def on_partitions_assigned(self, assigned):
        tell("assigned", partitions=[p.partition for p in assigned])


def consume():
    stopping = []
    signal.signal(signal.SIGTERM, lambda _signal, _frame: stopping.append(True))
    # Before 0.10.1 the two are one and the same on the wire.
    poll = {"max_poll_interval_ms": 6000} if VERSION is not None and VERSION < (0, 10, 1) else {}
    consumer = KafkaConsumer(
        **CLIENT, **poll, group_id=OPTIONS["group"], auto_offset_reset="earliest", auto_commit_interval_ms=200,
        session_timeout_ms=6000, heartbeat_interval_ms=500,
    )
    consumer.subscribe([OPTIONS["topic"]], listener=Listener())
    while not stopping:
        for records in consumer.poll(timeout_ms=100).values():
            for r in records:
                tell("record", partition=r.partition, offset=r.offset, key=text(r.key), value=text(r.value))
    consumer.close()


def committed():
    consumer = KafkaConsumer(**CLIENT, group_id=OPTIONS["group"], enable_auto_commit=False)
    partitions = range(OPTIONS["partitions"])
    offsets = {p: consumer.committed(TopicPartition(OPTIONS["topic"], p)) for p in partitions}
    print(json.dumps({p: offset for p, offset in offsets.items() if offset is not None}))
    consumer.close()


def read():
    limit = {"max_partition_fetch_bytes": OPTIONS["fetchBytes"]} if "fetchBytes" in OPTIONS else {}
    consumer = KafkaConsumer(**CLIENT, **limit, group_id=None, consumer_timeout_ms=TIMEOUT_S * 1000)
    partition = TopicPartition(OPTIONS["topic"], 0)
    consumer.assign([partition])
    consumer.seek(partition, OPTIONS["from"])
    left = OPTIONS["count"]
    for r in consumer:
        tell("record", partition=0, offset=r.offset, key=text(r.key), value=text(r.value))
        left -= 1
        if left == 0:
            break
    consumer.close()
    if left:
        sys.exit("%d records have not come" % left)


{"create": create, "produce": produce, "consume": consume, "committed": committed, "read": read}[COMMAND]()
