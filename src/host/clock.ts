/** Time as this machine tells it. Durations and deadlines use `monotonicMs`; only data that leaves the process uses `wallMs`. */
export interface Clock {
  /** Milliseconds since an arbitrary origin, fractional, never going back. */
  monotonicMs(): number;
  /** Whole milliseconds since the Unix epoch; steps when the machine's clock is set. */
  wallMs(): number;
}

export interface Timer {
  /** After cancel() the callback never runs. Cancelling twice, or after the callback, does nothing. */
  cancel(): void;
}

export interface Timers {
  /** Runs `callback` once, at least `delayMs` from now. */
  after(delayMs: number, callback: () => void): Timer;
  /** Runs `callback` once the current turn's input has been handled: the place to flush what a turn has gathered. */
  soon(callback: () => void): void;
}
