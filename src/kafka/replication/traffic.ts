/** What clients have written to and read from one topic here, or all of them. Source: BrokerTopicMetrics in KafkaRequestHandler.scala. */
export class TopicTraffic {
  messagesIn = 0;
  bytesIn = 0;
  /** To consumers. */
  bytesOut = 0;
  /** Of batches that are too large. */
  bytesRejected = 0;
  /** Partitions in requests, as are the next three. */
  produceRequests = 0;
  produceFailures = 0;
  fetchRequests = 0;
  fetchFailures = 0;
}

/** The traffic of a broker: counted, never looked up, where records pass. */
export class BrokerTraffic {
  readonly all = new TopicTraffic();
  replicationBytesIn = 0;
  replicationBytesOut = 0;
  isrExpands = 0;
  isrShrinks = 0;
  isrFailures = 0;
  readonly #topics = new Map<string, TopicTraffic>();

  /** Topics with a replica here, or one that was. */
  get topics(): ReadonlyMap<string, TopicTraffic> {
    return this.#topics;
  }

  topic(name: string): TopicTraffic {
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const made = new TopicTraffic();
    this.#topics.set(name, made);
    return made;
  }

  /** It has no replica here any more; `all` goes on. */
  forget(name: string): void {
    this.#topics.delete(name);
  }
}

/** Where a partition counts: its topic's, and the broker's. */
export class PartitionTraffic {
  readonly topic: TopicTraffic;
  readonly broker: BrokerTraffic;

  constructor(topic: string, broker: BrokerTraffic) {
    this.topic = broker.topic(topic);
    this.broker = broker;
  }

  appended(messages: number, bytes: number): void {
    const { topic, broker: { all } } = this;
    topic.produceRequests++;
    all.produceRequests++;
    topic.messagesIn += messages;
    all.messagesIn += messages;
    topic.bytesIn += bytes;
    all.bytesIn += bytes;
  }

  /** `bytes` is how much was too large; `failed` says that nobody expects such a refusal. */
  refused(bytes: number, failed: boolean): void {
    const { topic, broker: { all } } = this;
    topic.produceRequests++;
    all.produceRequests++;
    topic.bytesRejected += bytes;
    all.bytesRejected += bytes;
    if (!failed) return;
    topic.produceFailures++;
    all.produceFailures++;
  }

  fetched(bytes: number, failed: boolean): void {
    const { topic, broker: { all } } = this;
    topic.fetchRequests++;
    all.fetchRequests++;
    topic.bytesOut += bytes;
    all.bytesOut += bytes;
    if (!failed) return;
    topic.fetchFailures++;
    all.fetchFailures++;
  }
}
