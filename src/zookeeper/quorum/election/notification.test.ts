import { describe, expect, test } from "vitest";
import { beats, decodeInitialMessage, decodeNotification, encodeInitialMessage, encodeNotification, NOTHING, type Vote } from "./notification.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

const vote: Vote = { leader: 3, zxid: 0x2_0000_0007, round: 5, peerEpoch: 2 };
const head = hex(`
  00000002
  0000000000000003
  0000000200000007
  0000000000000005
  0000000000000002
  00000002`);
const config = "server.1=h:2:3:participant\nversion=0";

describe("a notification", () => {
  test("is its layout, byte for byte, behind its length", () => {
    expect(encodeNotification("leading", vote, Buffer.from("abc"))).toEqual(Buffer.concat([hex("0000002f"), head, hex("00000003 616263")]));
  });

  test("of an observer names Long.MIN_VALUE three times and is read back so", () => {
    const frame = encodeNotification("looking", { leader: NOTHING, zxid: NOTHING, round: 1, peerEpoch: NOTHING }, Buffer.from(config));
    expect(frame.subarray(4, 44)).toEqual(hex("00000000 8000000000000000 8000000000000000 0000000000000001 8000000000000000 00000002"));
    expect(decodeNotification(frame.subarray(4))).toEqual({ state: "looking", vote: { leader: NOTHING, zxid: NOTHING, round: 1, peerEpoch: NOTHING }, version: 2, config });
  });

  test("is read in every length of history", () => {
    expect(decodeNotification(head.subarray(0, 28))).toEqual({ state: "leading", vote, version: 0, config: undefined });
    // 40 bytes: the version that they end with is not looked at.
    expect(decodeNotification(head)).toEqual({ state: "leading", vote, version: 0, config: undefined });
    const one = Buffer.concat([head, hex("00")]);
    one.writeInt32BE(1, 36);
    expect(decodeNotification(one)).toEqual({ state: "leading", vote, version: 1, config: undefined });
    expect(decodeNotification(Buffer.concat([head, hex("00000000")]))).toEqual({ state: "leading", vote, version: 2, config: "" });
    expect(decodeNotification(Buffer.concat([head, hex("00000001 61 ffff")]))).toEqual({ state: "leading", vote, version: 2, config: "a" });
    for (const [state, number] of [["looking", 0], ["following", 1], ["leading", 2], ["observing", 3]] as const) {
      const message = Buffer.from(head);
      message.writeInt32BE(number, 0);
      expect(decodeNotification(message)?.state).toBe(state);
    }
  });

  test("is refused where it is cut, has an unknown state, an unsafe number or a length that does not fit", () => {
    const whole = encodeNotification("following", vote, Buffer.from(config)).subarray(4);
    for (let length = 0; length < whole.length; length++) {
      if (length !== 28 && length !== 40) expect(decodeNotification(whole.subarray(0, length)), `${length} bytes`).toBeUndefined();
    }
    const spoilt = (at: number, value: number): Buffer => {
      const message = Buffer.from(whole);
      message.writeInt32BE(value, at);
      return message;
    };
    expect(decodeNotification(spoilt(0, 4))).toBeUndefined();
    expect(decodeNotification(spoilt(0, -1))).toBeUndefined();
    for (const at of [4, 12, 20, 28]) expect(decodeNotification(spoilt(at, 0x7fff_ffff))).toBeUndefined();
    expect(decodeNotification(spoilt(40, -1))).toBeUndefined();
    expect(decodeNotification(spoilt(40, whole.length))).toBeUndefined();
    const unbegun = Buffer.from(whole);
    unbegun.fill(0xff, 20, 28);
    expect(decodeNotification(unbegun)?.vote.round).toBe(-1);
  });
});

test("votes are ordered by peer epoch, then zxid, then id; equal ones do not beat each other", () => {
  const better = { ...vote, leader: 4 };
  expect(beats(better, vote)).toBe(true);
  expect(beats(vote, better)).toBe(false);
  expect(beats({ ...vote, zxid: vote.zxid + 1 }, better)).toBe(true);
  expect(beats({ leader: 1, zxid: 0, round: 0, peerEpoch: 3 }, better)).toBe(true);
  expect(beats(vote, { ...vote, round: 9 })).toBe(false);
  expect(beats(vote, { leader: NOTHING, zxid: NOTHING, round: 9, peerEpoch: NOTHING })).toBe(true);
});

describe("an initial message", () => {
  const golden = hex("ffffffffffff0000 0000000000000002 0000000d 31302e302e302e323a33383838");

  test("is its layout, byte for byte", () => {
    expect(encodeInitialMessage(2, { host: "10.0.0.2", port: 3888 })).toEqual(golden);
    expect(encodeInitialMessage(2, { host: "fe80::1", port: 3888 }).toString("utf8", 20)).toBe("[fe80::1]:3888");
  });

  test("is read wherever the stream is cut, and what follows is left alone", () => {
    for (let length = 0; length < golden.length; length++) expect(decodeInitialMessage(golden.subarray(0, length))).toEqual({ kind: "incomplete" });
    const address = { host: "10.0.0.2", port: 3888 };
    expect(decodeInitialMessage(golden)).toEqual({ kind: "complete", id: 2, address, bytes: 33 });
    expect(decodeInitialMessage(Buffer.concat([golden, hex("00000001")]))).toEqual({ kind: "complete", id: 2, address, bytes: 33 });
  });

  test("may be a bare id, of an observer without an id, or name a wildcard, which is no address to dial", () => {
    expect(decodeInitialMessage(hex("0000000000000007 00"))).toEqual({ kind: "complete", id: 7, address: undefined, bytes: 8 });
    const anonymous = Buffer.from(golden);
    anonymous.fill(0xff, 9, 16).writeUInt8(0x7f, 8);
    expect(decodeInitialMessage(anonymous)).toMatchObject({ kind: "complete", id: undefined });
    for (const host of ["0.0.0.0", "::", "0:0:0:0:0:0:0:0"]) expect(decodeInitialMessage(encodeInitialMessage(1, { host, port: 1 }))).toMatchObject({ kind: "complete", id: 1, address: undefined });
    expect(decodeInitialMessage(encodeInitialMessage(1, { host: "::1", port: 1 }))).toMatchObject({ address: { host: "::1", port: 1 } });
  });

  test("is refused with another version, an unreasonable length, an address that is none, an id that is unsafe", () => {
    const spoilt = (at: number, value: number): Buffer => {
      const message = Buffer.from(golden);
      message.writeInt32BE(value, at);
      return message;
    };
    const several = Buffer.from(golden);
    several.writeInt32BE(-65535, 4);
    expect(decodeInitialMessage(several)).toMatchObject({ kind: "malformed" });
    for (const length of [0, -1, 2049]) expect(decodeInitialMessage(spoilt(16, length))).toMatchObject({ kind: "malformed" });
    expect(decodeInitialMessage(spoilt(8, 0x7fff_fff0))).toMatchObject({ kind: "malformed" });
    for (const [host, port] of [["h", 70_000], ["", 1], ["a|b", -1]] as const) expect(decodeInitialMessage(encodeInitialMessage(1, { host, port }))).toMatchObject({ kind: "malformed" });
  });
});
