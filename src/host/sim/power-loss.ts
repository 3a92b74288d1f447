import type { Prng } from "../../lib/prng.ts";
import { applyNames, type ContentChange, type FileNode, type FileSystem, type Inode, type NameChange } from "./file-system.ts";
import type { Piece } from "./sparse-bytes.ts";

/** What a disk writes as one. */
const sectorBytes = 512;

/** How the changes that nobody synced fare together, drawn for each file: fates of single changes would seldom agree. */
const modes = ["keepAll", "dropAll", "keepPrefix", "each"] as const;

type Fate = "keep" | "drop" | "tear" | "garble";

/**
 * The machine loses its power: what was synced stays, of the rest each change is kept, dropped, torn at a sector
 * or garbled, as drawn. Names go back to a state that some order of writing back could have left.
 */
export function losePower(files: FileSystem, prng: Prng, faults: { tearing: boolean; garbling: boolean }): void {
  loseNames(files, prng);
  const seen = new Set<FileNode>();
  const visit = (node: Inode): void => {
    if (node.kind === "file") {
      if (!seen.has(node)) loseContent(node, prng, faults);
      seen.add(node);
    } else for (const child of node.entries.values()) visit(child);
  };
  visit(files.root);
  files.recount();
}

function loseNames(files: FileSystem, prng: Prng): void {
  const changes = files.names;
  files.names = [];
  for (const change of changes.toReversed()) applyNames(change.entries.map((entry) => ({ ...entry, after: entry.before })));
  const fates = drawFates(changes.length, prng, ["drop"]);
  for (const [index, change] of changes.entries()) {
    if (fates[index] === "keep" && stillApplies(change)) applyNames(change.entries);
  }
}

/** A change rests on those before it: a rename on the creation, the removal of a directory on its having become empty. */
function stillApplies({ entries }: NameChange): boolean {
  return entries.every(({ directory, name, before }) => {
    const vanishes = before?.kind === "directory" && !entries.some(({ after }) => after === before);
    return directory.entries.get(name) === before && !(vanishes && before.entries.size > 0);
  });
}

function loseContent(file: FileNode, prng: Prng, faults: { tearing: boolean; garbling: boolean }): void {
  const { changes, content } = file;
  file.changes = [];
  // Back to what the disk has for certain, remembering what each change had written.
  const written: Piece[][] = [];
  for (const change of changes.toReversed()) {
    written.unshift(change.kind === "write" ? content.extract(change.from, change.to) : []);
    content.zero(change.from, Math.min(change.to, change.sizeBefore));
    content.resize(change.sizeBefore);
    for (const piece of change.before) content.write(piece.bytes, piece.position);
  }
  const harms: Fate[] = ["drop"];
  if (faults.tearing) harms.push("tear");
  if (faults.garbling) harms.push("garble");
  const fates = drawFates(changes.length, prng, harms);
  for (const [index, change] of changes.entries()) {
    const fate = change.state === "pending" ? fates[index] : change.state === "lost" ? "drop" : "keep";
    if (fate === "drop") continue;
    if (change.kind === "resize") content.resize(change.sizeAfter);
    else rewrite(file, change, written[index] ?? [], fate ?? "keep", prng);
  }
}

function rewrite(file: FileNode, change: ContentChange, pieces: readonly Piece[], fate: Fate, prng: Prng): void {
  const { content } = file;
  const { from, to } = change;
  const size = content.size;
  const put = (start: number, end: number): void => {
    content.zero(start, end);
    for (const { position, bytes } of pieces) {
      const [first, last] = [Math.max(start, position), Math.min(end, position + bytes.length)];
      if (first < last) content.write(bytes.subarray(first - position, last - position), first);
    }
    if (content.size < end) content.resize(end);
  };
  if (fate === "keep") {
    put(from, to);
    return;
  }
  const sectors = Math.ceil(to / sectorBytes) - Math.floor(from / sectorBytes);
  const edge = (sector: number): number => Math.min(to, Math.max(from, (Math.floor(from / sectorBytes) + sector) * sectorBytes));
  if (fate === "tear") {
    // A run of its sectors from the front, or any of them; the size may be there before the bytes are.
    const kept = prng.below(sectors + 1);
    const scattered = prng.chance(1, 3);
    for (let sector = 0; sector < sectors; sector++) if (scattered ? prng.chance(1, 2) : sector < kept) put(edge(sector), edge(sector + 1));
    if (prng.chance(1, 2)) content.resize(Math.max(content.size, size, to));
    return;
  }
  put(from, to);
  const first = prng.below(sectors);
  const [start, end] = [edge(first), edge(prng.between(first, sectors - 1) + 1)];
  content.zero(start, end);
  if (prng.chance(1, 2)) content.write(prng.bytes(end - start), start);
}

function drawFates(count: number, prng: Prng, harms: readonly Fate[]): Fate[] {
  const mode = prng.pick(modes);
  const prefix = prng.below(count + 1);
  return Array.from({ length: count }, (_, index): Fate => {
    switch (mode) {
      case "keepAll":
        return "keep";
      case "dropAll":
        return "drop";
      case "keepPrefix":
        return index < prefix ? "keep" : index === prefix ? prng.pick(harms) : "drop";
      case "each":
        return prng.chance(1, 2) ? "keep" : prng.pick(harms);
    }
  });
}
