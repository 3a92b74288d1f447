import * as fc from "fast-check";
import { expect, test } from "vitest";
import { FrameDecoder } from "./frames.ts";

function framed(payloads: readonly Uint8Array[]): Buffer {
  return Buffer.concat(payloads.flatMap((payload) => [Buffer.from([payload.length >>> 24, payload.length >>> 16, payload.length >>> 8, payload.length]), payload]));
}

test("the frames are the same however the stream is cut", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1 }), (payloads, cuts) => {
      const stream = framed(payloads);
      const decoder = new FrameDecoder({ frameBytesMax: 40 });
      const frames: Buffer[] = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = cuts[i % cuts.length] ?? 1;
        expect(decoder.push(Buffer.from(stream.subarray(at, at + size)), (frame) => frames.push(frame))).toBe(true);
        at += size;
      }
      expect(frames).toEqual(payloads.map((payload) => Buffer.from(payload)));
    }),
  );
});

test("a length over the limit, or a negative one, is refused before anything is allocated for it", () => {
  for (const [length, hex] of [[41, "00000029"], [-1, "ffffffff"], [0x7fff_ffff, "7fffffff"]] as const) {
    const decoder = new FrameDecoder({ frameBytesMax: 40 });
    const frames: Buffer[] = [];
    expect(decoder.push(Buffer.from(`0000000161${hex}`, "hex"), (frame) => frames.push(frame))).toBe(false);
    expect(decoder.refusedLength).toBe(length);
    expect(frames.map(String)).toEqual(["a"]);
  }
});

test("a length that is announced holds little memory until its bytes come, and the frame is whole when they have", () => {
  const held = (): number => process.memoryUsage().arrayBuffers;
  const before = held();
  const decoders = Array.from({ length: 100 }, () => new FrameDecoder({ frameBytesMax: 100_000_000 }));
  const length = 3_000_001;
  for (const decoder of decoders) decoder.push(Buffer.from("05f5e1000a", "hex"), () => undefined);
  expect(held() - before).toBeLessThan(200 * 1024 * 1024);
  const body = Buffer.from(Uint8Array.from({ length }, (_, at) => at % 251));
  const frames: Buffer[] = [];
  const decoder = new FrameDecoder({ frameBytesMax: 100_000_000 });
  const stream = framed([body, Buffer.from("next")]);
  for (let at = 0; at < stream.length; at += 65_537) decoder.push(stream.subarray(at, at + 65_537), (frame) => frames.push(frame));
  expect([frames.length, frames[0]?.equals(body), String(frames[1])]).toEqual([2, true, "next"]);
});
