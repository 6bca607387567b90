#!/usr/bin/env node
import { runCli } from "./program.ts";

const code = await runCli(process.argv.slice(2));
// All output went out by now. What may be left is the timer of a download that was not read to its end.
process.exit(code);
