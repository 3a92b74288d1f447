declare module "fs-native-extensions" {
  /** Takes an exclusive open-file-description lock on the whole file; false where somebody else holds it. */
  export function tryLock(fd: number): boolean;
}
