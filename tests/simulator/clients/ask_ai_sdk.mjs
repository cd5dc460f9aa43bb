// The ai SDK: streamed text, steps with a tool, and objects, whole and streamed.
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

globalThis.AI_SDK_LOG_WARNINGS = false;
const provider = createOpenAICompatible({
  name: "amber",
  baseURL: process.argv[2],
  apiKey: "ambrs-test",
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const model = provider("azure/gpt-5.4");

const { textStream, usage } = streamText({ model, prompt: "Hello!" });
const pieces = [];
for await (const piece of textStream) pieces.push(piece);
assert.ok(pieces.length > 5);
assert.equal(pieces.join(""), "Hello! How can I help you today?");
assert.ok((await usage).totalTokens > 0);

const tools = {
  get_weather: tool({
    description: "Get the weather in a city",
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => `sunny in ${city}`,
  }),
};
const prompt = "What is the weather in Rome?";
assert.match((await generateText({ model, tools, prompt, stopWhen: stepCountIs(3) })).text, /sunny in Rome/);
assert.match(await streamText({ model, tools, prompt, stopWhen: stepCountIs(3) }).text, /sunny in Rome/);

const schema = z.object({ name: z.string(), age: z.number().int() });
const person = { model, schema, prompt: "Ada is 36 years old" };
assert.deepEqual((await generateObject(person)).object, { name: "Ada", age: 36 });
const streamed = streamObject(person);
let last;
for await (const part of streamed.partialObjectStream) last = part;
assert.deepEqual(last, { name: "Ada", age: 36 });
assert.deepEqual(await streamed.object, last);
