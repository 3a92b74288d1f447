/** Request and transaction types. Source: ZooDefs.OpCode (3.5.9, with the additions up to 3.9). */
export const OpCode = {
  notification: 0,
  create: 1,
  delete: 2,
  exists: 3,
  getData: 4,
  setData: 5,
  getACL: 6,
  setACL: 7,
  getChildren: 8,
  sync: 9,
  ping: 11,
  getChildren2: 12,
  check: 13,
  multi: 14,
  create2: 15,
  reconfig: 16,
  checkWatches: 17,
  removeWatches: 18,
  createContainer: 19,
  deleteContainer: 20,
  createTTL: 21,
  multiRead: 22,
  auth: 100,
  setWatches: 101,
  sasl: 102,
  getEphemerals: 103,
  getAllChildrenNumber: 104,
  setWatches2: 105,
  addWatch: 106,
  whoAmI: 107,
  createSession: -10,
  closeSession: -11,
  error: -1,
} as const;

export type OpCode = (typeof OpCode)[keyof typeof OpCode];

/** Transaction ids that clients give to what is not an ordinary request, and servers to events. */
export const Xid = { notification: -1, ping: -2, auth: -4, setWatches: -8 } as const;

/** Source: CreateMode. */
export const CreateFlag = {
  persistent: 0,
  ephemeral: 1,
  persistentSequential: 2,
  ephemeralSequential: 3,
  container: 4,
  persistentWithTtl: 5,
  persistentSequentialWithTtl: 6,
} as const;

export type CreateFlag = (typeof CreateFlag)[keyof typeof CreateFlag];

/** Source: ZooDefs.Perms. */
export const Perms = { read: 1, write: 2, create: 4, delete: 8, admin: 16, all: 31 } as const;

/** Source: Watcher.Event.EventType. */
export const EventType = {
  none: -1,
  nodeCreated: 1,
  nodeDeleted: 2,
  nodeDataChanged: 3,
  nodeChildrenChanged: 4,
} as const;

export type EventType = (typeof EventType)[keyof typeof EventType];

/** The only state a server puts into events: SyncConnected. */
export const EVENT_STATE_CONNECTED = 3;

/** What checkWatches and removeWatches look at; 4 and 5 came with 3.9.5. Source: Watcher.WatcherType. */
export const WatcherType = { children: 1, data: 2, any: 3, persistent: 4, persistentRecursive: 5 } as const;

export type WatcherType = (typeof WatcherType)[keyof typeof WatcherType];

/** Source: AddWatchMode (3.6). */
export const AddWatchMode = { persistent: 0, persistentRecursive: 1 } as const;
