/** What a run is multiplied by: `--scale 0.1` to see whether the harness works, never for figures. */
let factor = 1;

export function setScale(scale: number): void {
  factor = scale;
}

/** At least 1. */
export function scaled(amount: number): number {
  return Math.max(1, Math.round(amount * factor));
}
