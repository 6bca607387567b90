import { WorkflowService } from "@attestry/api/run";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect, test } from "@jest/globals";
import { createMetrics, serve } from "../../service-kit/src/index.ts";
import { adminToken, fakeModule, logger } from "../../service-kit/tests/fake-module.ts";
import { Caller } from "../src/client/caller.ts";

test.each(["repeatable", "once"] as const)(
  "calls (%s) that are too many for their token come again when they are told to, and all get through",
  async (kind) => {
    let answered = 0;
    const modules = [
      fakeModule({
        get() {
          answered++;
          return {};
        },
      }),
    ];
    const metrics = createMetrics();
    const listen = { host: "127.0.0.1", port: 0 };
    const server = await serve({ modules, listen, limits: { ratePerToken: 10 }, logger, metrics });
    try {
      const notes: string[] = [];
      const caller = new Caller({
        ...{ timeoutMs: 60_000, stallMs: 60_000, signal: new AbortController().signal },
        note: async (text) => void notes.push(text),
      });
      const client = createClient(WorkflowService, createGrpcTransport({ baseUrl: server.url }));
      const headers = { authorization: `Bearer ${adminToken}` };
      const call = () => caller[kind]((options) => client.get({}, { ...options, headers }));
      await Promise.all(Array.from({ length: 30 }, call));
      expect(answered).toBe(30);
      expect(await metrics.metrics()).toMatch(/attestry_rate_limited_total\{limit="token"\} [1-9]/);
    } finally {
      await server.close();
    }
  },
  90_000,
);
