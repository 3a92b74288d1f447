"""One znode by kazoo: `kazoo-node.py <host:port,.../path> get <path>`, which prints its data, or `set <path> <data>`."""

import sys

from kazoo.client import KazooClient

hosts, command, path = sys.argv[1:4]
client = KazooClient(hosts)
client.start(timeout=20)
if command == "get":
    print(client.get(path)[0].decode())
else:
    client.set(path, sys.argv[4].encode())
client.stop()
