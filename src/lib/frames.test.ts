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
