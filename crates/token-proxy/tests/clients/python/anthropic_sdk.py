"""Anthropic's SDK as people use it; its own variables say where the API is and with what key.

The other ones: STANDIN is the provider's address, TOKEN_CUT and TOKEN_SPENT are further tenants'.
A case that fails raises, which is the test's verdict.
"""

import asyncio
import os
import urllib.request

import anthropic

MODEL = "k2p5"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
TOOL = {
    "name": "look_up",
    "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}},
}

client = anthropic.Anthropic()


def user(content):
    return {"role": "user", "content": content}


def ask(content, using=client, **more):
    request = {"model": MODEL, "max_tokens": 8000, "messages": [user(content)], **more}
    return using.messages.create(**request)


def raises(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def whole():
    answer = ask("hello", system="be brief")
    assert answer.content[0].text.startswith("00000000 ")
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def stream():
    """The events as they come, and the SDK's own reading of them."""
    events = list(ask("hello", stream=True))
    assert events[0].type == "message_start" and events[-1].type == "message_stop"
    assert events[-2].usage.output_tokens > 0
    with client.messages.stream(model=MODEL, max_tokens=8000, messages=[user("hello")]) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert "00000015 " in text and message.content[0].text == text
    assert message.usage.output_tokens > 0


def thinking():
    thinking = {"type": "enabled", "budget_tokens": 2048}
    answer = ask("why", thinking=thinking)
    assert [block.type for block in answer.content] == ["thinking", "text"]
    request = {"model": MODEL, "max_tokens": 8000, "messages": [user("why")], "thinking": thinking}
    with client.messages.stream(**request) as stream:
        kinds = {event.type for event in stream}
        first, second = stream.get_final_message().content
    assert {"thinking", "signature", "text"} <= kinds
    assert first.type == "thinking" and first.thinking and first.signature and second.text


def tools():
    """Two turns: a call, and an answer to its result; whole and streamed."""
    for streamed in (False, True):
        messages = [user("tool:look_up please")]

        def turn():
            request = {"model": MODEL, "max_tokens": 8000, "messages": messages, "tools": [TOOL]}
            if not streamed:
                return client.messages.create(**request)
            with client.messages.stream(**request) as stream:
                return stream.get_final_message()

        called = turn()
        assert called.stop_reason == "tool_use"
        [call] = called.content
        assert call.name == "look_up" and call.input == {"q": "sandbox"}
        messages.append({"role": "assistant", "content": called.content})
        messages.append(user([{"type": "tool_result", "tool_use_id": call.id, "content": "found"}]))
        answered = turn()
        assert answered.stop_reason == "end_turn" and answered.content[0].text


def image():
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "what is it?"}]
    # The stand-in counts 1200 tokens for an image.
    assert ask(content).usage.input_tokens > 1200


def models():
    assert [model.id for model in client.models.list()] == [MODEL]


def count_tokens():
    count = client.messages.count_tokens(model=MODEL, messages=[user("hello")])
    assert count.input_tokens > 0


def errors():
    stranger = client.with_options(api_key="oc_c-nobody_1_AAAA")
    raises(anthropic.AuthenticationError, lambda: ask("hi", stranger))
    raises(anthropic.NotFoundError, lambda: ask("hi", model="claude-9"))
    # Refused by the provider, and by the proxy.
    raises(anthropic.BadRequestError, lambda: ask("hi [[kimi status=400]]"))
    raises(anthropic.BadRequestError, lambda: ask("hi", extra_body={"max_tokens": "many"}))


def fail(count):
    """The provider fails so many times, which is as often as the proxy tries for one request."""
    body = "status=500\n".encode() * count
    urllib.request.urlopen(f"{os.environ['STANDIN']}/_script", data=body).close()


def failures():
    fail(3)
    once = client.with_options(max_retries=0)
    error = raises(anthropic.InternalServerError, lambda: ask("hi", once))
    assert error.status_code == 503 and error.response.headers["retry-after"] == "2"
    fail(3)
    raw = client.messages.with_raw_response
    answer = raw.create(model=MODEL, max_tokens=8000, messages=[user("hi")])
    assert answer.retries_taken == 1 and answer.parse().content[0].text


def broken_stream():
    doomed = client.with_options(api_key=os.environ["TOKEN_CUT"])
    for words in ("cut=3", "cut=3:reset"):
        stream = ask(f"hi [[kimi {words}]]", doomed, stream=True)
        raises(anthropic.APIError, lambda: list(stream))


def cancelled():
    with ask("go on [[kimi frames=200 gap=10ms]]", stream=True) as stream:
        for _, _event in zip(range(20), stream):
            pass


def spent():
    broke = client.with_options(api_key=os.environ["TOKEN_SPENT"])
    answer = ask("oi", broke)
    assert answer.content[0].text.startswith("Você já usou todos os tokens")
    assert answer.usage.input_tokens == answer.usage.output_tokens == 0
    with broke.messages.stream(model=MODEL, max_tokens=8000, messages=[user("oi")]) as stream:
        assert stream.get_final_text() == answer.content[0].text


async def crowd(client, count=12):
    """More at once than a tenant may have open, each longer than the proxy holds the others."""
    one = lambda: ask("hi [[kimi delay=4s]]", client)
    return await asyncio.gather(*(one() for _ in range(count)), return_exceptions=True)


def flood():
    async def run():
        async with anthropic.AsyncAnthropic() as client:
            answers = await crowd(client.with_options(max_retries=0))
            refused = [one for one in answers if isinstance(one, anthropic.RateLimitError)]
            assert len(refused) == 4, answers
            assert all(one.response.headers["retry-after"] == "1" for one in refused)
            answers = await crowd(client.with_options(max_retries=5))
            assert all(one.content[0].text for one in answers)

    asyncio.run(run())


for case in (
    whole,
    stream,
    thinking,
    tools,
    image,
    models,
    count_tokens,
    errors,
    failures,
    broken_stream,
    cancelled,
    spent,
    flood,
):
    case()
    print(case.__name__, flush=True)
