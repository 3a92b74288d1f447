export type LogFields = Readonly<Record<string, unknown>>;

/** One line an event. `fields.error` carries an Error with its cause; messages are plain sentences without a final stop. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose lines name the component. */
  child(component: string): Logger;
}
