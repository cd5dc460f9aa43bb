// openai-node: its stream helper, its runner of tools, and a parsed schema.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "ambrs-test" });
const ask = (content) => ({ model: "azure/gpt-5.4", messages: [{ role: "user", content }] });

const stream = client.chat.completions.stream({ ...ask("Hello!"), stream_options: { include_usage: true } });
const pieces = [];
stream.on("content", (piece) => pieces.push(piece));
const completion = await stream.finalChatCompletion();
assert.equal(completion.choices[0].message.role, "assistant");
assert.equal(pieces.join(""), "Hello! How can I help you today?");
assert.equal(completion.choices[0].message.content, pieces.join(""));
assert.ok(completion.usage.total_tokens > 0);

const weather = zodFunction({
  name: "get_weather",
  description: "Get the weather in a city",
  parameters: z.object({ city: z.string() }),
  function: ({ city }) => `sunny in ${city}`,
});
for (const streamed of [true, false]) {
  const question = ask("What is the weather in Rome?");
  const runner = client.chat.completions.runTools({ ...question, stream: streamed, tools: [weather] });
  assert.match(await runner.finalContent(), /sunny in Rome/);
}

const Person = z.object({ name: z.string(), age: z.number().int() });
const typed = { ...ask("Ada is 36 years old"), response_format: zodResponseFormat(Person, "person") };
const whole = await client.chat.completions.parse(typed);
assert.deepEqual(whole.choices[0].message.parsed, { name: "Ada", age: 36 });
const parts = await client.chat.completions.stream(typed).finalChatCompletion();
assert.deepEqual(parts.choices[0].message.parsed, { name: "Ada", age: 36 });
