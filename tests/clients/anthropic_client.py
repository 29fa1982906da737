"""Asks a gateway by the anthropic package, as an application does, and prints what came back as JSON.

Its one argument is JSON: the gateway's url, a key, and the model to ask.
"""

import json
import sys

import anthropic

given = json.loads(sys.argv[1])
client = anthropic.Anthropic(base_url=given["url"], api_key=given["key"], max_retries=0, timeout=60)
messages = [{"role": "user", "content": "where does the heron wait?"}]
said = {"version": anthropic.__version__}

answer = client.messages.create(model=given["chat"], max_tokens=6, messages=messages)
said["message"] = {
    "text": "".join(block.text for block in answer.content),
    "stop": answer.stop_reason,
    "tokens": answer.usage.output_tokens,
}

with client.messages.stream(model=given["chat"], max_tokens=6, messages=messages) as stream:
    pieces = list(stream.text_stream)
    final = stream.get_final_message()
said["stream"] = {"text": "".join(pieces), "pieces": len(pieces), "stop": final.stop_reason, "role": final.role}

said["count"] = client.messages.count_tokens(model=given["chat"], messages=messages).input_tokens

try:
    client.messages.create(model="nobody", max_tokens=6, messages=messages)
except anthropic.NotFoundError as error:
    said["unknown"] = {"status": error.status_code, "code": error.body["error"]["code"]}

try:
    anthropic.Anthropic(base_url=given["url"], api_key="wrong", max_retries=0).messages.create(
        model=given["chat"], max_tokens=6, messages=messages
    )
except anthropic.AuthenticationError as error:
    said["wrong_key"] = {"status": error.status_code}

print(json.dumps(said))
