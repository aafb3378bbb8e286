// OpenAI's SDK as people use it; its own variables say where the API is and with what key.
//
// The other ones: STANDIN is the provider's address, TOKEN_CUT and TOKEN_SPENT are further tenants'.
// A case that fails throws, which is the test's verdict.

import assert from 'node:assert/strict'
import OpenAI from 'openai'

const MODEL = 'k2p5'
const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='
const TOOL = {
  type: 'function',
  function: {
    name: 'look_up',
    parameters: { type: 'object', properties: { q: { type: 'string' } } },
  },
}

const client = new OpenAI()
const { TOKEN_CUT, TOKEN_SPENT, STANDIN } = process.env

const user = (content) => ({ role: 'user', content })
const ask = (content, { using = client, ...more } = {}) =>
  using.chat.completions.create({ model: MODEL, messages: [user(content)], ...more })
const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')

/** The error of `kind` that a promise is rejected with. */
async function thrown(kind, promise) {
  const error = await promise.then(
    () => assert.fail(`no ${kind.name}`),
    (error) => error,
  )
  assert.ok(error instanceof kind, error)
  return error
}

/** The provider fails so many times, which is as often as the proxy tries for one request. */
async function fail(count) {
  const body = 'status=500\n'.repeat(count)
  assert.ok((await fetch(`${STANDIN}/_script`, { method: 'POST', body })).ok)
}

const refused = async () => (await (await fetch(`${STANDIN}/_stats`)).json()).refused

async function whole() {
  const { choices, usage, _request_id } = await ask('hello')
  assert.ok(_request_id)
  assert.match(choices[0].message.content, /^00000000 /)
  assert.equal(choices[0].finish_reason, 'stop')
  assert.ok(usage.completion_tokens > 0)
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
}

async function stream_with_usage() {
  const options = { stream: true, stream_options: { include_usage: true } }
  const chunks = await Array.fromAsync(await ask('hello', options))
  const last = chunks.at(-1)
  assert.deepEqual(last.choices, [])
  assert.ok(last.usage.completion_tokens > 0)
  assert.match(text(chunks), /^00000000 .*00000015 /)
}

async function stream_without_usage() {
  const chunks = await Array.fromAsync(await ask('hello', { stream: true }))
  assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && !chunk.usage))
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop')
}

async function reasoning() {
  const { choices, usage } = await ask('why', { reasoning_effort: 'low' })
  assert.ok(choices[0].message.reasoning_content)
  assert.ok(usage.completion_tokens_details.reasoning_tokens > 0)
}

/** Two turns: a call, and an answer to its result; whole and streamed. */
async function tools() {
  for (const streamed of [false, true]) {
    const messages = [user('tool:look_up please')]
    const turn = async () => {
      const request = { model: MODEL, messages, tools: [TOOL] }
      const { choices } = await (streamed
        ? client.chat.completions.stream(request).finalChatCompletion()
        : client.chat.completions.create(request))
      return choices[0]
    }
    const called = await turn()
    assert.equal(called.finish_reason, 'tool_calls')
    const [call] = called.message.tool_calls
    assert.equal(call.function.name, 'look_up')
    assert.deepEqual(JSON.parse(call.function.arguments), { q: 'sandbox' })
    messages.push(called.message, { role: 'tool', tool_call_id: call.id, content: 'found' })
    const answered = await turn()
    assert.equal(answered.finish_reason, 'stop')
    assert.ok(answered.message.content)
  }
}

/** The SDK calls the function itself, and goes on until the model has answered. */
async function runner() {
  const asked = []
  const found = (given) => (asked.push(given.q), 'found')
  const called = { ...TOOL.function, parse: JSON.parse, function: found }
  const run = client.chat.completions.runTools({
    model: MODEL,
    messages: [user('tool:look_up please')],
    tools: [{ type: 'function', function: called }],
  })
  assert.match(await run.finalContent(), /^00000000 /)
  assert.deepEqual(asked, ['sandbox'])
}

async function image() {
  const url = `data:image/png;base64,${PIXEL}`
  const content = [
    { type: 'text', text: 'what is it?' },
    { type: 'image_url', image_url: { url } },
  ]
  // The stand-in counts 1200 tokens for an image.
  assert.ok((await ask(content)).usage.prompt_tokens > 1200)
}

async function models() {
  const all = await Array.fromAsync(client.models.list())
  assert.deepEqual(all.map((model) => model.id), [MODEL])
}

async function errors() {
  const stranger = client.withOptions({ apiKey: 'oc_c-nobody_1_AAAA' })
  const unauthenticated = await thrown(OpenAI.AuthenticationError, ask('hi', { using: stranger }))
  assert.equal(unauthenticated.code, 'invalid_api_key')
  const unknown = await thrown(OpenAI.NotFoundError, ask('hi', { model: 'gpt-9' }))
  assert.equal(unknown.code, 'model_not_found')
  // Refused by the provider, and by the proxy.
  await thrown(OpenAI.BadRequestError, ask('hi [[kimi status=400]]'))
  await thrown(OpenAI.BadRequestError, ask('hi', { max_tokens: 'many' }))
}

async function failures() {
  await fail(3)
  const using = client.withOptions({ maxRetries: 0 })
  const error = await thrown(OpenAI.InternalServerError, ask('hi', { using }))
  assert.equal(error.status, 503)
  assert.equal(error.headers.get('retry-after'), '2')
  await fail(3)
  const before = await refused()
  assert.ok((await ask('hi')).choices[0].message.content)
  assert.equal(await refused(), before + 3)
}

async function broken_stream() {
  const using = client.withOptions({ apiKey: TOKEN_CUT })
  for (const words of ['cut=3', 'cut=3:reset']) {
    const stream = await ask(`hi [[kimi ${words}]]`, { using, stream: true })
    await thrown(OpenAI.APIError, Array.fromAsync(stream))
  }
}

async function cancelled() {
  const stream = await ask('go on [[kimi frames=200 gap=10ms]]', { stream: true })
  let seen = 0
  for await (const _ of stream) {
    if (++seen === 20) break
  }
  assert.equal(seen, 20)
}

async function spent() {
  const using = client.withOptions({ apiKey: TOKEN_SPENT })
  const answer = await ask('oi', { using })
  assert.match(answer.choices[0].message.content, /^Você já usou todos os tokens/)
  assert.equal(answer.usage.total_tokens, 0)
  const chunks = await Array.fromAsync(await ask('oi', { using, stream: true }))
  assert.equal(text(chunks), answer.choices[0].message.content)
}

/** More at once than a tenant may have open, each longer than the proxy holds the others. */
const crowd = (using) =>
  Promise.allSettled(Array.from({ length: 12 }, () => ask('hi [[kimi delay=4s]]', { using })))

async function flood() {
  const answers = await crowd(client.withOptions({ maxRetries: 0 }))
  const errors = answers.filter((one) => one.status === 'rejected').map((one) => one.reason)
  assert.equal(errors.length, 4)
  for (const error of errors) {
    assert.ok(error instanceof OpenAI.RateLimitError, error)
    assert.equal(error.headers.get('retry-after'), '1')
  }
  for (const { value } of await crowd(client.withOptions({ maxRetries: 5 }))) {
    assert.ok(value?.choices[0].message.content)
  }
}

for (const run of [
  whole,
  stream_with_usage,
  stream_without_usage,
  reasoning,
  tools,
  runner,
  image,
  models,
  errors,
  failures,
  broken_stream,
  cancelled,
  spent,
  flood,
]) {
  await run()
  console.log(run.name)
}
