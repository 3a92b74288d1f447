"""A producer: `producer-history.py <host:port,...> <topic> <partitions> <pause in ms> <requests in flight> <idempotent|plain>`.

Writes 0, 1, 2, ... to every partition until SIGTERM, then waits for what is under way. A line for each record as its
delivery is reported, `ack <partition> <n> <offset>` or `failed <partition> <n> <error>`; `fatal <error>` where it can't go on. A plain one, and one with a
single request in flight, has one record of a partition under way at a time: librdkafka sends later ones to a new leader
while it still waits for a dead one, and after the OUT_OF_ORDER_SEQUENCE_NUMBER doubles what the dead one had stored.
"""

import signal
import sys
import time

from confluent_kafka import KafkaException, Producer

BOOTSTRAP, TOPIC, PARTITIONS, PAUSE_MS, IN_FLIGHT, KIND = sys.argv[1:]
PARTITION_MAX = 600 if KIND == "idempotent" and IN_FLIGHT != "1" else 1
STOPPING = []
under_way = [0] * int(PARTITIONS)


def delivered(error, message):
    partition, n = message.value().split(b" ")[:2]
    said = "ack" if error is None else "failed"
    under_way[int(partition)] -= 1
    print(said, partition.decode(), n.decode(), message.offset() if error is None else error.str(), flush=True)


signal.signal(signal.SIGTERM, lambda _signal, _frame: STOPPING.append(True))
producer = Producer({
    "bootstrap.servers": BOOTSTRAP,
    "enable.idempotence": KIND == "idempotent",
    "acks": "all",
    "max.in.flight": int(IN_FLIGHT),
    "linger.ms": 5,
    # Well below a segment.
    "batch.size": 32768,
    # Longer than any fault lasts, and requests short of the time that a follower keeps its place in the ISR.
    "message.timeout.ms": 120000,
    "request.timeout.ms": 3000,
    "reconnect.backoff.max.ms": 500,
})
following = [0] * int(PARTITIONS)
try:
    while not STOPPING:
        for partition, n in enumerate(following):
            if under_way[partition] < PARTITION_MAX:
                value = b"%d %d %s" % (partition, n, b"x" * (n * 37 % 1000))
                under_way[partition] += 1
                following[partition] += 1
                producer.produce(TOPIC, value, partition=partition, on_delivery=delivered)
        producer.poll(0)
        time.sleep(int(PAUSE_MS) / 1000)
    left = producer.flush(60)
    if left > 0:
        print("failed: no answer for", left, "records", flush=True)
except KafkaException as error:
    print("fatal", error, flush=True)
