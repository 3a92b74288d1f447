import { expect, test } from "vitest";
import { buildBatch } from "../records/build.ts";
import { buildEndTxnMarker } from "../records/control.ts";
import { LogBench } from "./testing.ts";

/**
 * A partition directory that Apache Kafka 2.7.1 wrote: kafka.log.Log with segment.bytes=900, index.interval.bytes=200,
 * given the appends below with appendAsLeader, then flushed and closed. Files by name, in base64.
 */
const apache: Readonly<Record<string, string>> = {
  "00000000000000000000.index": "AAAABQAAAO4AAAAJAAAB3AAAAAwAAALK",
  "00000000000000000000.log": "AAAAAAAAAAAAAABrAAAAAAKtGP4JAAAAAAABAAABdIdugAAAAAF0h26AAQAAAAAAAA+gAAEAAAAAAAAAAjgAAAAEazAoAAAAAAAAAAAAAAAAAAAAAAAAAAAAOAACAgRrMCgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAGsAAAAAAuOKs9UAAAAAAAEAAAF0h26ABwAAAXSHboAIAAAAAAAAD6EAAQAAAAAAAAACOAAAAARrMSgBAQEBAQEBAQEBAQEBAQEBAQEBAQA4AAICBGsxKAEBAQEBAQEBAQEBAQEBAQEBAQEBAAAAAAAAAAAEAAAAawAAAAACZTHJWwAQAAAAAQAAAXSHboADAAABdIdugAQAAAAAAAAPogABAAAAAAAAAAI4AAAABGsyKAICAgICAgICAgICAgICAgICAgICADgAAgIEazIoAgICAgICAgICAgICAgICAgICAgIAAAAAAAAAAAYAAABrAAAAAAJE2bR4AAAAAAABAAABdIdugAoAAAF0h26ACwAAAAAAAA+gAAEAAAACAAAAAjgAAAAEazMoAwMDAwMDAwMDAwMDAwMDAwMDAwMAOAACAgRrMygDAwMDAwMDAwMDAwMDAwMDAwMDAwAAAAAAAAAACAAAAGsAAAAAAuo2gvIAAAAAAAEAAAF0h26ABgAAAXSHboAHAAAAAAAAD6EAAQAAAAIAAAACOAAAAARrNCgEBAQEBAQEBAQEBAQEBAQEBAQEBAA4AAICBGs0KAQEBAQEBAQEBAQEBAQEBAQEBAQEAAAAAAAAAAAKAAAAawAAAAAC4BxtWQAQAAAAAQAAAXSHboACAAABdIdugAMAAAAAAAAPogABAAAAAgAAAAI4AAAABGs1KAUFBQUFBQUFBQUFBQUFBQUFBQUFADgAAgIEazUoBQUFBQUFBQUFBQUFBQUFBQUFBQUAAAAAAAAAAAwAAABCAAAAAALtkfgwADAAAAAAAAABdIdugAIAAAF0h26AAgAAAAAAAA+iAAH/////AAAAASAAAAAIAAAAAAwAAAAAAAIA",
  "00000000000000000000.timeindex": "AAABdIdugAgAAAADAAABdIdugAsAAAAH",
  "00000000000000000000.txnindex": "AAAAAAAAAAAPogAAAAAAAAAEAAAAAAAAAAwAAAAAAAAADQ==",
  "00000000000000000013.index": "AAAABQAAAO4AAAAJAAAB3AAAAAwAAALO",
  "00000000000000000013.log": "AAAAAAAAAA0AAABrAAAAAQKibBMrAAAAAAABAAABdIdugAkAAAF0h26ACgAAAAAAAA+gAAEAAAAEAAAAAjgAAAAEazYoBgYGBgYGBgYGBgYGBgYGBgYGBgYAOAACAgRrNigGBgYGBgYGBgYGBgYGBgYGBgYGBgAAAAAAAAAADwAAAGsAAAABAtgSM5EAAAAAAAEAAAF0h26ABQAAAXSHboAGAAAAAAAAD6EAAQAAAAQAAAACOAAAAARrNygHBwcHBwcHBwcHBwcHBwcHBwcHBwA4AAICBGs3KAcHBwcHBwcHBwcHBwcHBwcHBwcHAAAAAAAAAAARAAAAawAAAAECMoZ0uwAQAAAAAQAAAXSHboABAAABdIdugAIAAAAAAAAPogABAAAABAAAAAI4AAAABGs4KAgICAgICAgICAgICAgICAgICAgIADgAAgIEazgoCAgICAgICAgICAgICAgICAgICAgAAAAAAAAAABMAAABrAAAAAQLx6IF6AAAAAAABAAABdIdugAgAAAF0h26ACQAAAAAAAA+gAAEAAAAGAAAAAjgAAAAEazkoCQkJCQkJCQkJCQkJCQkJCQkJCQkAOAACAgRrOSgJCQkJCQkJCQkJCQkJCQkJCQkJCQAAAAAAAAAAFQAAAG0AAAABAhpOIkgAAAAAAAEAAAF0h26ABAAAAXSHboAFAAAAAAAAD6EAAQAAAAYAAAACOgAAAAZrMTAoCgoKCgoKCgoKCgoKCgoKCgoKCgoAOgACAgZrMTAoCgoKCgoKCgoKCgoKCgoKCgoKCgoAAAAAAAAAABcAAABtAAAAAQIUPIAEABAAAAABAAABdIdugAAAAAF0h26AAQAAAAAAAA+iAAEAAAAGAAAAAjoAAAAGazExKAsLCwsLCwsLCwsLCwsLCwsLCwsLADoAAgIGazExKAsLCwsLCwsLCwsLCwsLCwsLCwsLAAAAAAAAAAAZAAAAQgAAAAECvpQRfgAwAAAAAAAAAXSHboAAAAABdIdugAAAAAAAAAAPogAB/////wAAAAEgAAAACAAAAAEMAAAAAAACAA==",
  "00000000000000000013.snapshot": "AAH4+OaxAAAAAwAAAAAAAA+gAAEAAAADAAAAAAAAAAcAAAABAAABdIdugAv///////////////8AAAAAAAAPoQABAAAAAwAAAAAAAAAJAAAAAQAAAXSHboAH////////////////AAAAAAAAD6IAAQAAAAMAAAAAAAAACwAAAAEAAAF0h26AAgAAAAL//////////w==",
  "00000000000000000013.timeindex": "AAABdIdugAoAAAAB",
  "00000000000000000026.index": "AAAABQAAAPIAAAAJAAAB5AAAAAwAAALW",
  "00000000000000000026.log": "AAAAAAAAABoAAABtAAAAAgJkaHoVAAAAAAABAAABdIdugAcAAAF0h26ACAAAAAAAAA+gAAEAAAAIAAAAAjoAAAAGazEyKAwMDAwMDAwMDAwMDAwMDAwMDAwMADoAAgIGazEyKAwMDAwMDAwMDAwMDAwMDAwMDAwMAAAAAAAAAAAcAAAAbQAAAAICubtFowAAAAAAAQAAAXSHboADAAABdIdugAQAAAAAAAAPoQABAAAACAAAAAI6AAAABmsxMygNDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQA6AAICBmsxMygNDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQAAAAAAAAAAHgAAAG0AAAACApKDvCgAEAAAAAEAAAF0h26ACgAAAXSHboALAAAAAAAAD6IAAQAAAAgAAAACOgAAAAZrMTQoDg4ODg4ODg4ODg4ODg4ODg4ODg4AOgACAgZrMTQoDg4ODg4ODg4ODg4ODg4ODg4ODg4AAAAAAAAAACAAAABtAAAAAgKLxTAUAAAAAAABAAABdIdugAYAAAF0h26ABwAAAAAAAA+gAAEAAAAKAAAAAjoAAAAGazE1KA8PDw8PDw8PDw8PDw8PDw8PDw8PADoAAgIGazE1KA8PDw8PDw8PDw8PDw8PDw8PDw8PAAAAAAAAAAAiAAAAbQAAAAIC290t9AAAAAAAAQAAAXSHboACAAABdIdugAMAAAAAAAAPoQABAAAACgAAAAI6AAAABmsxNigQEBAQEBAQEBAQEBAQEBAQEBAQEAA6AAICBmsxNigQEBAQEBAQEBAQEBAQEBAQEBAQEAAAAAAAAAAAJAAAAG0AAAACAntUg80AEAAAAAEAAAF0h26ACQAAAXSHboAKAAAAAAAAD6IAAQAAAAoAAAACOgAAAAZrMTcoEREREREREREREREREREREREREREAOgACAgZrMTcoEREREREREREREREREREREREREREAAAAAAAAAACYAAABCAAAAAgKOA0lPADAAAAAAAAABdIdugAkAAAF0h26ACQAAAAAAAA+iAAH/////AAAAASAAAAAIAAAAAAwAAAAAAAIA",
  "00000000000000000026.snapshot": "AAGPcnl+AAAAAwAAAAAAAA+gAAEAAAAHAAAAAAAAABQAAAABAAABdIdugAn///////////////8AAAAAAAAPoQABAAAABwAAAAAAAAAWAAAAAQAAAXSHboAF////////////////AAAAAAAAD6IAAQAAAAcAAAAAAAAAGAAAAAEAAAF0h26AAAAAAAL//////////w==",
  "00000000000000000026.timeindex": "AAABdIdugAsAAAAF",
  "00000000000000000026.txnindex": "AAAAAAAAAAAPogAAAAAAAAAeAAAAAAAAACYAAAAAAAAAJw==",
  "00000000000000000039.snapshot": "AAGDZ5KPAAAAAwAAAAAAAA+gAAEAAAALAAAAAAAAACEAAAABAAABdIdugAf///////////////8AAAAAAAAPoQABAAAACwAAAAAAAAAjAAAAAQAAAXSHboAD////////////////AAAAAAAAD6IAAQAAAAsAAAAAAAAAJQAAAAEAAAF0h26ACQAAAAL//////////w==",
  "leader-epoch-checkpoint": "MAozCjAgMAoxIDEzCjIgMjYK",
};

const config = { segmentBytes: 900, indexIntervalBytes: 200 };

function appendAll(bench: LogBench): void {
  for (let index = 0; index < 18; index++) {
    const epoch = Math.floor(index / 6);
    const producerId = 4000 + (index % 3);
    const timestamp = 1_600_000_000_000 + ((index * 7) % 11);
    const records = [0, 1].map((delta) => ({ key: Buffer.from(`k${index}`), value: Buffer.alloc(20, index), timestamp: timestamp + delta }));
    bench.appendBytes(buildBatch(records, { producerId, producerEpoch: 1, baseSequence: 2 * Math.floor(index / 3), transactional: producerId === 4002 }), epoch);
    if (index % 6 === 5) bench.appendBytes(buildEndTxnMarker(4002, 1, { committed: index === 11, coordinatorEpoch: 2, timestamp }), epoch, "coordinator");
  }
}

function files(bench: LogBench): Record<string, string> {
  return Object.fromEntries([...bench.files().keys()].map((name) => [name, bench.content(name).toString("base64")]));
}

test("the same appends give the files that Apache writes, byte for byte", async () => {
  const bench = new LogBench(config);
  appendAll(bench);
  await bench.settle(bench.log.close());
  expect(files(bench)).toEqual(apache);
});

test("a log that Apache closed is opened, and closed again as it was", async () => {
  const ours = new LogBench(config);
  appendAll(ours);
  const bench = new LogBench(config);
  await bench.settle(bench.log.close());
  for (const [name, content] of Object.entries(apache)) bench.write(name, Buffer.from(content, "base64"));
  await bench.reopen({ clean: true, recoveryPoint: 39, highWatermark: 39 });
  expect(await bench.readAll()).toEqual(await ours.readAll());
  expect([bench.log.endOffset, bench.log.lastStableOffset, bench.log.latestEpoch]).toEqual([39, 39, 2]);
  expect(bench.log.abortedTransactions(0, 39)).toEqual(ours.log.abortedTransactions(0, 39));
  const numbers = (log: LogBench): unknown[] => [...log.log.producers.values()].map((one) => [one.producerId, one.epoch, one.coordinatorEpoch, one.batches.at(-1)?.lastSequence]);
  expect(numbers(bench)).toEqual(numbers(ours));
  await bench.settle(bench.log.close());
  expect(files(bench)).toEqual(apache);
});

test("a log that Apache did not close gets its indexes and snapshots built anew as Apache had them", async () => {
  const bench = new LogBench(config);
  bench.node.kill();
  bench.node.start();
  for (const [name, content] of Object.entries(apache)) if (name.endsWith(".log")) bench.write(name, Buffer.from(content, "base64"));
  await bench.reopen({ clean: false });
  await bench.settle(bench.log.close());
  expect(files(bench)).toEqual(apache);
});
