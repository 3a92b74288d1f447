"""kazoo against a ZooKeeper server or ensemble: `zookeeper-kazoo.py <host:port,...>`. Prints a line for each thing that holds; fails at the first that does not."""

import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import BadVersionError, NoAuthError, NodeExistsError, NoNodeError, NotEmptyError, RolledBackError
from kazoo.security import make_digest_acl

ADDRESS = sys.argv[1]
CLIENTS = []


def client(**options):
    made = KazooClient(hosts=ADDRESS, timeout=4, **options)
    made.start(timeout=10)
    CLIENTS.append(made)
    return made


def synced(zk):
    """Whose member may be a moment behind another's."""
    zk.sync("/")
    return zk


def eventually(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "not within 10 s"
        time.sleep(0.01)


def fails(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error:
        return
    raise AssertionError("expected " + error.__name__)


def thread(work):
    started = threading.Thread(target=work, daemon=True)
    started.start()
    return started


def nodes():
    zk = client()
    assert zk.create("/nodes", b"one") == "/nodes"
    fails(NodeExistsError, zk.create, "/nodes")
    fails(NoNodeError, zk.get, "/missing")
    data, stat = zk.get("/nodes")
    assert (data, stat.version, stat.data_length) == (b"one", 0, 3)
    assert zk.set("/nodes", b"two", version=0).version == 1
    fails(BadVersionError, zk.set, "/nodes", b"x", version=0)
    assert zk.create("/nodes/s-", sequence=True) == "/nodes/s-0000000000"
    assert zk.create("/nodes/deep/er", makepath=True) == "/nodes/deep/er"
    assert sorted(zk.get_children("/nodes")) == ["deep", "s-0000000000"]
    fails(NotEmptyError, zk.delete, "/nodes")
    path, stat = zk.create("/nodes/with-stat", b"12", include_data=True)
    assert (path, stat.data_length) == ("/nodes/with-stat", 2)
    zk.sync("/nodes")
    zk.delete("/nodes", recursive=True)
    assert zk.exists("/nodes") is None


def ephemeral():
    owner, other = client(), client()
    owner.create("/ephemeral", ephemeral=True)
    assert synced(other).exists("/ephemeral").ephemeralOwner == owner.client_id[0]
    owner.stop()
    assert synced(other).exists("/ephemeral") is None


def watches():
    zk, other = client(), client()
    seen = []
    zk.exists("/watched", watch=lambda event: seen.append((event.type, event.path)))
    other.create("/watched", b"0")
    eventually(lambda: seen == [("CREATED", "/watched")])
    values = []
    zk.DataWatch("/watched", lambda data, stat: values.append(data))
    lists = []
    zk.ChildrenWatch("/watched", lambda children: lists.append(sorted(children)))
    other.set("/watched", b"1")
    eventually(lambda: values == [b"0", b"1"])
    other.create("/watched/a")
    eventually(lambda: lists == [[], ["a"]])
    other.delete("/watched/a")
    eventually(lambda: lists == [[], ["a"], []])


def transaction():
    zk = client()
    change = zk.transaction()
    change.create("/transaction", b"x")
    change.set_data("/transaction", b"y")
    change.check("/transaction", 1)
    assert change.commit()[0] == "/transaction"
    assert zk.get("/transaction")[0] == b"y"
    change = zk.transaction()
    change.create("/transaction/a")
    change.check("/transaction", 7)
    change.delete("/transaction")
    results = change.commit()
    assert [type(result) for result in results][:2] == [RolledBackError, BadVersionError], results
    assert zk.exists("/transaction/a") is None


def acls():
    owner, other = client(auth_data=[("digest", "ada:secret")]), client()
    owner.create("/secret", b"x", acl=[make_digest_acl("ada", "secret", all=True)])
    assert owner.get("/secret")[0] == b"x"
    fails(NoAuthError, synced(other).get, "/secret")
    other.add_auth("digest", "ada:secret")
    assert other.get("/secret")[0] == b"x"
    assert other.get_acls("/secret")[0][0].id.scheme == "digest"


def lock():
    clients = [client() for _ in range(3)]
    holders, most, turns = [], [0], []

    def work(zk, name):
        for _ in range(5):
            with zk.Lock("/lock", name):
                holders.append(name)
                most[0] = max(most[0], len(holders))
                turns.append(name)
                time.sleep(0.005)
                holders.remove(name)

    for each in [thread(lambda zk=zk, name=str(n): work(zk, name)) for n, zk in enumerate(clients)]:
        each.join(20)
    assert most == [1] and len(turns) == 15, (most, turns)


def lock_of_the_dead():
    first, second = client(), client()
    first.Lock("/dead-lock", "first").acquire()
    waiting = second.Lock("/dead-lock", "second")
    got = thread(lambda: waiting.acquire(timeout=20))
    eventually(lambda: len(waiting.contenders()) == 2)
    first.stop()
    got.join(10)
    assert waiting.is_acquired


def election():
    led = []
    clients = [client() for _ in range(3)]
    done = [thread(lambda zk=zk, name=str(n): zk.Election("/election", name).run(lambda: led.append(name))) for n, zk in enumerate(clients)]
    for each in done:
        each.join(10)
    assert sorted(led) == ["0", "1", "2"]


def barrier():
    zk, other = client(), client()
    gate = zk.Barrier("/barrier")
    gate.create()
    passed = []
    waiting = thread(lambda: passed.append(synced(other).Barrier("/barrier").wait(10)))
    time.sleep(0.05)
    assert passed == []
    gate.remove()
    waiting.join(10)
    assert passed == [True]


def double_barrier():
    clients = [client() for _ in range(3)]
    inside, left = [], []

    def work(zk):
        gate = zk.DoubleBarrier("/double-barrier", 3)
        gate.enter()
        inside.append(1)
        gate.leave()
        left.append(len(inside))

    for each in [thread(lambda zk=zk: work(zk)) for zk in clients]:
        each.join(10)
    assert left == [3, 3, 3]


def counter():
    clients = [client() for _ in range(3)]

    def work(zk):
        own = zk.Counter("/counter")
        for _ in range(20):
            own += 1

    for each in [thread(lambda zk=zk: work(zk)) for zk in clients]:
        each.join(20)
    assert synced(clients[0]).Counter("/counter").value == 60


def queue():
    zk, other = client(), client()
    mine, theirs = zk.Queue("/queue"), other.Queue("/queue")
    for n in range(10):
        mine.put(b"%d" % n)
    synced(other)
    assert [theirs.get() for _ in range(10)] == [b"%d" % n for n in range(10)]
    assert theirs.get() is None
    locking = zk.LockingQueue("/locking-queue")
    locking.put(b"low", priority=200)
    locking.put(b"high", priority=1)
    taker = synced(other).LockingQueue("/locking-queue")
    assert taker.get(5) == b"high"
    assert taker.consume()


def party():
    first, second = client(), client()
    member = first.Party("/party", "first")
    member.join()
    second.Party("/party", "second").join()
    eventually(lambda: sorted(member) == ["first", "second"])
    member.leave()
    eventually(lambda: list(second.Party("/party")) == ["second"])
    second.stop()
    eventually(lambda: list(member) == [])


def reconnect():
    zk = client()
    states = []
    zk.add_listener(states.append)
    session = zk.client_id
    zk.create("/reconnect", ephemeral=True)
    zk._connection._socket.shutdown(2)
    eventually(lambda: states[-1:] == [KazooState.CONNECTED])
    assert states[0] == KazooState.SUSPENDED
    assert zk.client_id == session and zk.exists("/reconnect") is not None


def pipelined():
    zk = client()
    zk.create("/pipelined")
    made = [zk.create_async("/pipelined/n-", b"x" * 100, sequence=True) for _ in range(500)]
    assert [each.get(10) for each in made] == ["/pipelined/n-%010d" % n for n in range(500)]


def commands():
    zk = client()
    assert zk.server_version()[:2] == (3, 5) or zk.server_version() >= (3, 6)
    assert zk.command(b"ruok") == "imok"


for check in [nodes, ephemeral, watches, transaction, acls, lock, lock_of_the_dead, election, barrier, double_barrier, counter, queue, party, reconnect, pipelined, commands]:
    check()
    print("ok " + check.__name__, flush=True)

for each in CLIENTS:
    each.stop()
