import { array, bool, int16, int32, int64, list, message, string } from "../../../codec/notation.ts";
import { api } from "../api.ts";

export const describeLogDirsRequest = message("DescribeLogDirsRequest", { versions: "0-4", flexible: "2+" }, {
  topics: array("0+", "DescribableLogDirTopic", {
    topic: string("0+"),
    partitions: list("0+", int32),
  }, { nullable: "0+" }),
});

export const describeLogDirsResponse = message("DescribeLogDirsResponse", { versions: "0-4", flexible: "2+" }, {
  throttleTimeMs: int32("0+"),
  errorCode: int16("3+", { default: 0 }),
  results: array("0+", "DescribeLogDirsResult", {
    errorCode: int16("0+"),
    logDir: string("0+"),
    topics: array("0+", "DescribeLogDirsTopic", {
      name: string("0+"),
      partitions: array("0+", "DescribeLogDirsPartition", {
        partitionIndex: int32("0+"),
        partitionSize: int64("0+"),
        offsetLag: int64("0+"),
        isFutureKey: bool("0+"),
      }),
    }),
    totalBytes: int64("4+", { default: -1 }),
    usableBytes: int64("4+", { default: -1 }),
  }),
});

export const describeLogDirs = api({ key: 35, name: "DescribeLogDirs", request: describeLogDirsRequest, response: describeLogDirsResponse });
