"""OpenAI's SDK as people use it; its own variables say where the API is and with what key.

The other ones: STANDIN is the provider's address, TOKEN_CUT and TOKEN_SPENT are further tenants'.
A case that fails raises, which is the test's verdict.
"""

import asyncio
import json
import os
import urllib.request

import openai

MODEL = "k2p5"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"q": {"type": "string"}},
            "required": ["q"],
            "additionalProperties": False,
        },
    },
}

client = openai.OpenAI()


def user(content):
    return {"role": "user", "content": content}


def ask(content, using=client, **more):
    return using.chat.completions.create(model=MODEL, messages=[user(content)], **more)


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def whole():
    answer = ask("hello")
    assert answer.choices[0].message.content.startswith("00000000 ")
    assert answer.choices[0].finish_reason == "stop"
    assert answer._request_id
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0


def stream_with_usage():
    chunks = list(ask("hello", stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text.startswith("00000000 ") and "00000015 " in text
    assert chunks[-2].choices[0].finish_reason == "stop"


def stream_without_usage():
    chunks = list(ask("hello", stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def reasoning():
    answer = ask("why", reasoning_effort="low")
    assert answer.choices[0].message.reasoning_content
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


def tools():
    """Two turns: a call, and an answer to its result; whole and streamed."""
    for streamed in (False, True):
        messages = [user("tool:look_up please")]

        def turn():
            request = {"model": MODEL, "messages": messages, "tools": [TOOL]}
            if not streamed:
                return client.chat.completions.create(**request).choices[0]
            with client.chat.completions.stream(**request) as stream:
                for _ in stream:
                    pass
                return stream.get_final_completion().choices[0]

        called = turn()
        assert called.finish_reason == "tool_calls"
        [call] = called.message.tool_calls
        assert call.function.name == "look_up"
        assert json.loads(call.function.arguments) == {"q": "sandbox"}
        messages.append(called.message.model_dump(include={"role", "content", "tool_calls"}))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "found"})
        answered = turn()
        assert answered.finish_reason == "stop" and answered.message.content


def image():
    url = f"data:image/png;base64,{PIXEL}"
    content = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    # The stand-in counts 1200 tokens for an image.
    assert ask(content).usage.prompt_tokens > 1200


def models():
    assert [model.id for model in client.models.list()] == [MODEL]


def errors():
    stranger = client.with_options(api_key="oc_c-nobody_1_AAAA")
    error = raises(openai.AuthenticationError, lambda: ask("hi", stranger))
    assert error.code == "invalid_api_key"
    unknown = lambda: client.chat.completions.create(model="gpt-9", messages=[user("hi")])
    assert raises(openai.NotFoundError, unknown).code == "model_not_found"
    # Refused by the provider, and by the proxy.
    raises(openai.BadRequestError, lambda: ask("hi [[kimi status=400]]"))
    raises(openai.BadRequestError, lambda: ask("hi", extra_body={"max_tokens": "many"}))


def fail(count):
    """The provider fails so many times, which is as often as the proxy tries for one request."""
    body = "status=500\n".encode() * count
    urllib.request.urlopen(f"{os.environ['STANDIN']}/_script", data=body).close()


def failures():
    fail(3)
    error = raises(openai.InternalServerError, lambda: ask("hi", client.with_options(max_retries=0)))
    assert error.status_code == 503 and error.response.headers["retry-after"] == "2"
    fail(3)
    raw = client.chat.completions.with_raw_response
    answer = raw.create(model=MODEL, messages=[user("hi")])
    assert answer.retries_taken == 1 and answer.parse().choices[0].message.content


def broken_stream():
    doomed = client.with_options(api_key=os.environ["TOKEN_CUT"])
    for words in ("cut=3", "cut=3:reset"):
        stream = ask(f"hi [[kimi {words}]]", doomed, stream=True)
        raises(openai.APIError, lambda: list(stream))


def cancelled():
    with ask("go on [[kimi frames=200 gap=10ms]]", stream=True) as stream:
        for _, _chunk in zip(range(20), stream):
            pass


def spent():
    broke = client.with_options(api_key=os.environ["TOKEN_SPENT"])
    answer = ask("oi", broke)
    assert answer.choices[0].message.content.startswith("Você já usou todos os tokens")
    assert answer.usage.total_tokens == 0
    chunks = list(ask("oi", broke, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == answer.choices[0].message.content


async def crowd(client, count=12):
    """More at once than a tenant may have open, each longer than the proxy holds the others."""
    one = lambda: ask("hi [[kimi delay=4s]]", client)
    return await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True)


def flood():
    async def run():
        async with openai.AsyncOpenAI() as client:
            answers = await crowd(client.with_options(max_retries=0))
            refused = [one for one in answers if isinstance(one, openai.RateLimitError)]
            assert len(refused) == 4, answers
            assert all(one.response.headers["retry-after"] == "1" for one in refused)
            answers = await crowd(client.with_options(max_retries=5))
            assert all(one.choices[0].message.content for one in answers)

    asyncio.run(run())


for case in (
    whole,
    stream_with_usage,
    stream_without_usage,
    reasoning,
    tools,
    image,
    models,
    errors,
    failures,
    broken_stream,
    cancelled,
    spent,
    flood,
):
    case()
    print(case.__name__, flush=True)
