"""Asks a running docmill as people's own programs do: with OpenAI's client, unchanged. BASE and KEY come by variables."""

import json
import os

import openai

client = openai.OpenAI(base_url=os.environ["BASE"] + "/v1", api_key=os.environ["KEY"], max_retries=0)
question = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who wrote the zebra shell?"}]

models = [model.id for model in client.models.list()]
whole = client.chat.completions.create(model="docmill", messages=question, temperature=0.1, user="somebody")
pieces, usage, finish = [], None, None
stream = client.chat.completions.create(
    model="docmill", messages=question, stream=True, stream_options={"include_usage": True}
)
for chunk in stream:
    usage = chunk.usage or usage
    for choice in chunk.choices:
        pieces.append(choice.delta.content or "")
        finish = choice.finish_reason or finish
# The client asks for base64 by itself, and decodes it.
vectors = client.embeddings.create(model="docmill-embed", input=["zebra", "harbour", "zebra"])
floats = client.embeddings.create(model="docmill-embed", input="zebra", encoding_format="float")
try:
    client.chat.completions.create(model="gpt-4o", messages=question)
    unknown = None
except openai.NotFoundError as error:
    unknown = error.code
print(
    json.dumps(
        {
            "models": models,
            "answer": whole.choices[0].message.content,
            "citations": len(whole.choices[0].message.citations),
            "finish": [whole.choices[0].finish_reason, finish],
            "tokens": [whole.usage.total_tokens, usage.total_tokens],
            "streamed": "".join(pieces),
            "vectors": [len(row.embedding) for row in vectors.data],
            "same": vectors.data[0].embedding == vectors.data[2].embedding,
            "near": max(abs(a - b) for a, b in zip(vectors.data[0].embedding, floats.data[0].embedding)) < 1e-6,
            "unknown": unknown,
        }
    )
)
