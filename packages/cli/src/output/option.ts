import { type Command, Option } from "commander";

/** Adds `-o json|table`. `json` says what the JSON object has, for the help. */
export function addOutputOption(command: Command, json: string): Command {
  return command
    .addOption(new Option("-o, --output <format>", "form of the answer").choices(["table", "json"]).default("table"))
    .addHelpText("after", `\nJSON: ${json}`);
}

/** Adds examples to the help of a command; one for each line. */
export function addExamples(command: Command, ...examples: string[]): Command {
  return command.addHelpText("after", `\nExamples:\n${examples.map((example) => `  $ ${example}`).join("\n")}`);
}
