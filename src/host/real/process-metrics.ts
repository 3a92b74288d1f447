import fs from "node:fs";
import { monitorEventLoopDelay, performance, PerformanceObserver, type EventLoopUtilization, type PerformanceEntry } from "node:perf_hooks";
import process from "node:process";
import { histogram, Histogram, labels, line, single, family, type Family } from "../../lib/metrics.ts";
import type { CallbackTimes } from "./callbacks.ts";

/** A finer one wakes an idle process more often. */
const DELAY_RESOLUTION_MS = 20;

const DELAYS = ["min", "max", "mean"] as const;
const PERCENTILES = [50, 90, 99, 99.9] as const;

const GC_BOUNDS = Float64Array.of(0.001, 0.01, 0.1, 1, 2, 5);

/** By kind: perf_hooks' constants NODE_PERFORMANCE_GC_*. */
const GC_KINDS: Readonly<Record<number, string>> = { 1: "minor", 4: "major", 8: "incremental", 16: "weakcb" };

/**
 * The event loop of this thread, under the names of prom-client's default metrics, which dashboards of Node.js ask for;
 * its idle share also under the names of Kafka's thread pools, whose work it does. Begins to measure. `loop` tells two
 * loops of a process apart. Delays and the idle share are since the last asking.
 */
export function loopFamilies(loop: string, callbacks: CallbackTimes): readonly Family[] {
  const label = labels({ loop });
  callbacks.begin();
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  // What is counted is the time between two of its timers, of which only what is too much is a delay.
  const lag = (nanoseconds: number): number => (delay.count === 0 ? 0 : Math.max(0, nanoseconds / 1e9 - DELAY_RESOLUTION_MS / 1000));
  const collections = observeCollections();
  let before: EventLoopUtilization = performance.eventLoopUtilization();
  let idle = 1;
  const heap = (name: string, help: string, read: (usage: NodeJS.MemoryUsage) => number): Family => family("gauge", name, help, () => [[label, read(process.memoryUsage())]]);
  const gauge = (name: string, help: string, read: () => number): Family => family("gauge", name, help, () => [[label, read()]]);
  const share = (): number => idle;
  return [
    {
      name: "nodejs_eventloop_utilization",
      type: "gauge",
      help: "The share of the time in which the event loop was busy, since the last scrape",
      *lines() {
        const now = performance.eventLoopUtilization();
        const { utilization } = performance.eventLoopUtilization(now, before);
        before = now;
        idle = 1 - utilization;
        yield line("nodejs_eventloop_utilization", label, utilization);
      },
    },
    ...(loop === "broker"
      ? [
          gauge("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", "The share of the time in which the event loop was idle, from 0 to 1", share),
          gauge("kafka_network_socketserver_networkprocessoravgidle_percent", "The same: one loop does both", share),
        ]
      : []),
    ...DELAYS.map((each) => gauge(`nodejs_eventloop_lag_${each}_seconds`, `How late the event loop's timers are (${each}), since the last scrape`, () => lag(delay[each]))),
    ...PERCENTILES.map((each) => gauge(`nodejs_eventloop_lag_p${String(each).replace(".", "")}_seconds`, `The same, percentile ${each}`, () => lag(delay.percentile(each)))),
    {
      name: "nodejs_eventloop_lag_seconds",
      type: "gauge",
      help: "The same, the greatest",
      *lines() {
        yield line("nodejs_eventloop_lag_seconds", label, lag(delay.max));
        delay.reset();
      },
    },
    histogram("odradek_callback_seconds", "How long single callbacks, with all that they set going in their turn, hold the event loop", () => [[label, callbacks.seconds]]),
    gauge("odradek_callback_max_seconds", "The longest of them in the last minute or two", () => callbacks.seconds.recent(performance.now()).max),
    histogram("nodejs_gc_duration_seconds", "Garbage collections by kind", () => Array.from(collections, ([kind, observed]) => [labels({ loop, kind }), observed])),
    heap("nodejs_heap_size_total_bytes", "The heap of this thread", ({ heapTotal }) => heapTotal),
    heap("nodejs_heap_size_used_bytes", "The part of it that is in use", ({ heapUsed }) => heapUsed),
    heap("nodejs_external_memory_bytes", "Memory outside the heap, buffers among it", ({ external }) => external),
  ];
}

type GcEntry = PerformanceEntry & { readonly detail: { readonly kind: number } };

function observeCollections(): ReadonlyMap<string, Histogram> {
  const byKind = new Map(Object.values(GC_KINDS).map((kind) => [kind, new Histogram(GC_BOUNDS)]));
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as GcEntry[]) byKind.get(GC_KINDS[entry.detail.kind] ?? "")?.observe(entry.duration / 1000);
  }).observe({ entryTypes: ["gc"] });
  return byKind;
}

/** The process, under the names that Prometheus' client libraries share. */
export function processFamilies(): readonly Family[] {
  const startSeconds = Date.now() / 1000 - process.uptime();
  return [
    single("counter", "process_cpu_seconds_total", "CPU time of the process, user and system", () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    }),
    single("gauge", "process_start_time_seconds", "When the process was started, in seconds since the epoch", () => startSeconds),
    single("gauge", "process_resident_memory_bytes", "Memory of the process that is in RAM", () => process.memoryUsage.rss()),
    single("gauge", "process_open_fds", "Open file descriptors; only Linux tells", openDescriptors),
    single("gauge", "process_max_fds", "How many may be open; only Linux tells", descriptorsMax),
    family("gauge", "nodejs_version_info", "The version of Node.js", () => [[labels({ version: process.version }), 1]]),
  ];
}

function openDescriptors(): number | undefined {
  try {
    return fs.readdirSync("/proc/self/fd").length;
  } catch {
    return undefined;
  }
}

function descriptorsMax(): number | undefined {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(fs.readFileSync("/proc/self/limits", "latin1"))?.[1];
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
}
