import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";
import { describe } from "@jest/globals";
import { attackSuite } from "./attack-suite.ts";

describe("the chassis", () => {
  attackSuite(async () => {
    const child = fork(path.join(import.meta.dirname, "slow-server.ts"));
    const { url, token } = await told<{ url: string; token: string }>(child);
    const exited = new Promise((resolve) => child.once("exit", resolve));
    return {
      ...{ port: Number(new URL(url).port), token, path: "/attestry.run.v1.WorkflowService/Get" },
      streamPath: "/google.bytestream.ByteStream/Write",
      residentMiB: async () => {
        const answer = told<{ rss: number }>(child);
        child.send("memory");
        return (await answer).rss / (1024 * 1024);
      },
      stop: async () => {
        child.disconnect();
        await exited;
      },
    };
  });
});

function told<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error("the server has ended"));
    child.once("exit", ended);
    child.once("message", (message) => {
      child.off("exit", ended);
      resolve(message as T);
    });
  });
}
