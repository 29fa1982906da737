"""Asks a gateway by the openai package, as an application does, and prints what came back as JSON.

Its one argument is JSON: the gateway's url, a key, and the models to ask.
"""

import json
import sys

import openai

given = json.loads(sys.argv[1])
client = openai.OpenAI(base_url=given["url"] + "/v1", api_key=given["key"], max_retries=0, timeout=60)
messages = [{"role": "user", "content": "where does the heron wait?"}]
said = {"version": openai.__version__}

answer = client.chat.completions.create(model=given["chat"], messages=messages, max_tokens=6)
said["chat"] = {
    "text": answer.choices[0].message.content,
    "finish": answer.choices[0].finish_reason,
    "tokens": answer.usage.completion_tokens,
}

pieces, finish = [], None
for chunk in client.chat.completions.create(model=given["chat"], messages=messages, max_tokens=6, stream=True):
    for choice in chunk.choices:
        pieces.append(choice.delta.content or "")
        finish = choice.finish_reason or finish
said["stream"] = {"text": "".join(pieces), "pieces": len([piece for piece in pieces if piece]), "finish": finish}

said["models"] = [model.id for model in client.models.list()]
said["model"] = client.models.retrieve(given["chat"]).id

if "embed" in given:
    embedded = client.embeddings.create(model=given["embed"], input=["a heron", "a greenroom"])
    said["embeddings"] = [len(one.embedding) for one in embedded.data]

if "image" in given:
    drawn = client.images.generate(model=given["image"], prompt="a heron", n=2, response_format="b64_json")
    said["images"] = [image.b64_json for image in drawn.data]

try:
    client.chat.completions.create(model="nobody", messages=messages)
except openai.NotFoundError as error:
    said["unknown"] = {"status": error.status_code, "code": error.code, "type": error.type, "message": error.message}

try:
    openai.OpenAI(base_url=given["url"] + "/v1", api_key="wrong", max_retries=0).models.list()
except openai.AuthenticationError as error:
    said["wrong_key"] = {"status": error.status_code, "code": error.code}

print(json.dumps(said))
