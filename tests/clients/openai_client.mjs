// Asks a gateway by the openai package for Node, as an application does, and prints what came back as JSON.
//
// Its arguments: where the package lies, and JSON with the gateway's url, a key, and the model to ask.

const [library, argument] = process.argv.slice(2);
const { default: OpenAI } = await import(library);
const given = JSON.parse(argument);
const baseURL = `${given.url}/v1`;
const client = new OpenAI({ baseURL, apiKey: given.key, maxRetries: 0, timeout: 60_000 });
const messages = [{ role: "user", content: "where does the heron wait?" }];
const said = {};

const answer = await client.chat.completions.create({ model: given.chat, messages, max_tokens: 6 });
said.chat = {
  text: answer.choices[0].message.content,
  finish: answer.choices[0].finish_reason,
  tokens: answer.usage.completion_tokens,
};

said.stream = { text: "", pieces: 0, finish: null };
for await (const chunk of await client.chat.completions.create({
  model: given.chat,
  messages,
  max_tokens: 6,
  stream: true,
})) {
  for (const choice of chunk.choices) {
    const piece = choice.delta.content ?? "";
    said.stream.text += piece;
    said.stream.pieces += piece === "" ? 0 : 1;
    said.stream.finish = choice.finish_reason ?? said.stream.finish;
  }
}

said.models = [];
for await (const model of client.models.list()) {
  said.models.push(model.id);
}

try {
  await client.chat.completions.create({ model: "nobody", messages });
} catch (error) {
  said.unknown = { status: error.status, code: error.code, is: error instanceof OpenAI.NotFoundError };
}

try {
  await new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 }).models.list();
} catch (error) {
  said.wrong_key = { status: error.status, is: error instanceof OpenAI.AuthenticationError };
}

console.log(JSON.stringify(said));
