import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate } from "node:timers/promises";
import { toError } from "../../lib/error.ts";

/** An answer to GET; its chunks are written one a turn. */
export interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly chunks: Iterable<string>;
}

export interface HttpOptions {
  /** Every address where undefined. */
  readonly host: string | undefined;
  readonly port: number;
  /** By path. */
  readonly pages: Readonly<Record<string, () => Promise<Page>>>;
}

export interface HttpServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Who asks is a scraper or a probe: few, and with little to say. */
const CONNECTIONS_MAX = 64;
const HEADER_BYTES_MAX = 8192;
const REQUEST_MS_MAX = 10_000;

/**
 * Pages to read, over HTTP. Node's own server is loaded only here: a process that serves no pages does without it.
 * Rejects with EADDRINUSE and its like.
 */
export async function serveHttp({ host, port, pages }: HttpOptions): Promise<HttpServer> {
  const { createServer } = await import("node:http");
  const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX, headersTimeout: REQUEST_MS_MAX, requestTimeout: REQUEST_MS_MAX }, (request, response) => {
    answer(pages, request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else respond(response, 500, `${toError(error).message}\n`);
    });
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.listen({ port, ...(host === undefined ? {} : { host }) });
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

async function answer(pages: HttpOptions["pages"], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? "").replace(/[?#].*$/s, "");
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  if (page === undefined) return respond(response, 404, `no such page; there are ${Object.keys(pages).join(" and ")}\n`);
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    return respond(response, 405, "only GET and HEAD\n");
  }
  const { status, contentType, chunks } = await page();
  response.writeHead(status, { "Content-Type": contentType });
  if (request.method === "GET") {
    for (const chunk of chunks) {
      if (response.destroyed) return;
      if (response.write(chunk)) await setImmediate();
      else await Promise.race([once(response, "drain"), once(response, "close")]);
    }
  }
  response.end();
}

function respond(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" });
  response.end(text);
}
