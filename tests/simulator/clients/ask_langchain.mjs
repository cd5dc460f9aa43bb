// LangChain.js: a stream, a streamed tool call and its result, and structured output in each of its ways.
import assert from "node:assert/strict";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

const configuration = { baseURL: process.argv[2] };
const model = new ChatOpenAI({ model: "azure/gpt-5.4", apiKey: "ambrs-test", configuration, maxRetries: 0 });

async function gather(stream) {
  let whole;
  for await (const chunk of stream) whole = whole === undefined ? chunk : whole.concat(chunk);
  return whole;
}

const hello = await gather(await model.stream("Hello!"));
assert.equal(hello.content, "Hello! How can I help you today?");
assert.equal(hello.getType(), "ai");

const weather = tool(({ city }) => `sunny in ${city}`, {
  name: "get_weather",
  description: "Get the weather in a city",
  schema: z.object({ city: z.string() }),
});
const withTools = model.bindTools([weather]);
const question = new HumanMessage("What is the weather in Rome?");
const asked = await gather(await withTools.stream([question]));
assert.deepEqual(asked.tool_calls.map(({ name, args }) => ({ name, args })), [
  { name: "get_weather", args: { city: "Rome" } },
]);
const result = await weather.invoke(asked.tool_calls[0]);
assert.ok(result instanceof ToolMessage);
assert.match((await withTools.invoke([question, asked, result])).content, /sunny in Rome/);

const Person = z.object({ name: z.string(), age: z.number().int() });
for (const method of ["functionCalling", "jsonSchema"]) {
  const typed = model.withStructuredOutput(Person, { name: "person", method });
  assert.deepEqual(await typed.invoke("Ada is 36 years old"), { name: "Ada", age: 36 }, method);
}
