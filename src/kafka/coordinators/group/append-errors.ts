import { ErrorCode } from "../../protocol/error-codes.ts";

/** What the append of a group's record says to the members that wait for it. Source: GroupMetadataManager.storeGroup. */
export function groupAppendError(error: ErrorCode): ErrorCode {
  switch (error) {
    case ErrorCode.REQUEST_TIMED_OUT:
      return ErrorCode.REBALANCE_IN_PROGRESS;
    case ErrorCode.MESSAGE_TOO_LARGE:
    case ErrorCode.RECORD_LIST_TOO_LARGE:
    case ErrorCode.INVALID_FETCH_SIZE:
      return ErrorCode.UNKNOWN_SERVER_ERROR;
    default:
      return leadershipError(error);
  }
}

/** What the append of offsets says to who commits them. Source: GroupMetadataManager.maybeConvertOffsetCommitError. */
export function commitAppendError(error: ErrorCode): ErrorCode {
  switch (error) {
    case ErrorCode.MESSAGE_TOO_LARGE:
    case ErrorCode.RECORD_LIST_TOO_LARGE:
    case ErrorCode.INVALID_FETCH_SIZE:
      return ErrorCode.INVALID_COMMIT_OFFSET_SIZE;
    default:
      return leadershipError(error);
  }
}

/** Whether to come again, or to look for another coordinator. */
function leadershipError(error: ErrorCode): ErrorCode {
  switch (error) {
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
    case ErrorCode.NOT_ENOUGH_REPLICAS:
    case ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND:
      return ErrorCode.COORDINATOR_NOT_AVAILABLE;
    case ErrorCode.NOT_LEADER_OR_FOLLOWER:
    case ErrorCode.KAFKA_STORAGE_ERROR:
      return ErrorCode.NOT_COORDINATOR;
    default:
      return error;
  }
}
