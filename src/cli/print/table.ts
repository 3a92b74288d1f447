/** A column: the least width, and whether longer values make it wider. The last one is not padded. */
export interface Column {
  readonly title: string;
  readonly width: number;
  readonly grows?: boolean;
}

export const MISSING = "-";

/** Header and rows, one blank between columns; widths count UTF-16 units, as Java's format does. */
export function tableLines(columns: readonly Column[], rows: readonly (readonly string[])[], { padLast = false }: { readonly padLast?: boolean } = {}): string[] {
  const widths = columns.map(({ width, grows = false }, index) => (grows ? Math.max(width, ...rows.map((row) => row[index]?.length ?? 0)) : width));
  const toLine = (cells: readonly string[]): string => cells.map((cell, index) => (index < columns.length - 1 || padLast ? cell.padEnd(widths[index] ?? 0) : cell)).join(" ");
  return [toLine(columns.map(({ title }) => title)), ...rows.map(toLine)];
}
