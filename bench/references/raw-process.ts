import { fork } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const CHUNK = 65_536;

const [what, amount] = process.argv.slice(2);
const bytes = Number(amount);
if (what === "append") append();
else if (what === "socket") sendToAnother();
else if (what === "read") read(Number(amount));

function tell(took: number): void {
  console.log(JSON.stringify({ bytes, seconds: took / 1000, megabytesPerSecond: bytes / took / 1000 }));
}

function append(): void {
  const directory = mkdtempSync(join(process.env["ODRADEK_BENCH_DIR"] ?? tmpdir(), "bench-append-"));
  const file = openSync(join(directory, "log"), "a");
  const chunk = Buffer.alloc(CHUNK, "x");
  const began = performance.now();
  for (let left = bytes; left > 0; left -= CHUNK) writeSync(file, chunk, 0, Math.min(CHUNK, left));
  const took = performance.now() - began;
  closeSync(file);
  rmSync(directory, { recursive: true });
  tell(took);
}

function sendToAnother(): void {
  const chunk = Buffer.alloc(CHUNK, "x");
  let began = 0;
  const server = createServer((socket) => {
    began = performance.now();
    let left = bytes;
    const send = (): void => {
      while (left > 0) {
        const size = Math.min(CHUNK, left);
        left -= size;
        if (!socket.write(size === CHUNK ? chunk : chunk.subarray(0, size))) {
          socket.once("drain", send);
          return;
        }
      }
      socket.end();
    };
    send();
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const reader = fork(fileURLToPath(import.meta.url), ["read", String(address.port)]);
    reader.once("exit", (code) => {
      if (code !== 0) throw new Error(`the reader ended with ${code}`);
      server.close();
      tell(performance.now() - began);
    });
  });
}

function read(port: number): void {
  connect({ port, host: "127.0.0.1" }).resume();
}
