// Asks a running docmill as people's own programs do: with OpenAI's client, unchanged. BASE, KEY and the directory
// CLIENTS that the client is installed in come by variables.

import { createRequire } from "node:module";

const require = createRequire(process.env.CLIENTS + "/");
const { OpenAI } = require("openai");

const client = new OpenAI({ baseURL: process.env.BASE + "/v1", apiKey: process.env.KEY, maxRetries: 0 });
const question = [
  { role: "system", content: "Be brief." },
  { role: "user", content: [{ type: "text", text: "Who wrote the zebra shell?" }] },
];

const models = (await client.models.list()).data.map((model) => model.id);
const whole = await client.chat.completions.create({ model: "docmill", messages: question, temperature: 0.1 });
const stream = await client.chat.completions.create({
  model: "docmill",
  messages: question,
  stream: true,
  stream_options: { include_usage: true },
});
let [streamed, usage, finish] = ["", null, null];
for await (const chunk of stream) {
  usage = chunk.usage ?? usage;
  for (const choice of chunk.choices) {
    streamed += choice.delta.content ?? "";
    finish = choice.finish_reason ?? finish;
  }
}
const vectors = await client.embeddings.create({ model: "docmill-embed", input: ["zebra", "harbour", "zebra"] });
const floats = await client.embeddings.create({ model: "docmill-embed", input: "zebra", encoding_format: "float" });
let unknown = null;
try {
  await client.chat.completions.create({ model: "gpt-4o", messages: question });
} catch (error) {
  unknown = error.status === 404 ? error.code : null;
}
const [first, , third] = vectors.data.map((row) => Array.from(row.embedding));
console.log(
  JSON.stringify({
    models,
    answer: whole.choices[0].message.content,
    citations: whole.choices[0].message.citations.length,
    finish: [whole.choices[0].finish_reason, finish],
    tokens: [whole.usage.total_tokens, usage.total_tokens],
    streamed,
    vectors: vectors.data.map((row) => row.embedding.length),
    same: JSON.stringify(first) === JSON.stringify(third),
    near: first.every((number, at) => Math.abs(number - floats.data[0].embedding[at]) < 1e-6),
    unknown,
  }),
);
