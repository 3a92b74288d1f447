import { fourLetterWord } from "../test/support/apache-zookeeper.ts";

/** leader, follower, standalone of each `host:port`; undefined of one that does not serve. */
export async function modes(members: readonly string[]): Promise<(string | undefined)[]> {
  const answers = await Promise.all(members.map((member) => fourLetterWord(Number(member.split(":")[1]), "srvr")));
  return answers.map((answer) => /^Mode: (\w+)/m.exec(answer)?.[1]);
}
