/** What a client or a monitor reads as `3.5.9`; the rest is ours, in the form of Apache's own. */
export const SERVER_VERSION = "3.5.9-odradek-0.1.0, built on 11/22/2026 00:00 GMT";
