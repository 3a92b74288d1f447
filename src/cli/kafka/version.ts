/** What --version says; scripts take the first word, so that must be the version of Kafka that all of it answers for. */
export const VERSION_LINE = "2.7.1 (Odradek 0.1.0)";
