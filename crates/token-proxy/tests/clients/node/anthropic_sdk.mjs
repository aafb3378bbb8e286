// Anthropic's SDK as people use it; its own variables say where the API is and with what key.
//
// The other ones: STANDIN is the provider's address, TOKEN_CUT and TOKEN_SPENT are further tenants'.
// A case that fails throws, which is the test's verdict.

import assert from 'node:assert/strict'
import Anthropic from '@anthropic-ai/sdk'

const MODEL = 'k2p5'
const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='
const TOOL = {
  name: 'look_up',
  input_schema: { type: 'object', properties: { q: { type: 'string' } } },
}

const client = new Anthropic()
const { TOKEN_CUT, TOKEN_SPENT, STANDIN } = process.env

const user = (content) => ({ role: 'user', content })
const request = (content, more) => ({
  model: MODEL,
  max_tokens: 8000,
  messages: [user(content)],
  ...more,
})
const ask = (content, { using = client, ...more } = {}) =>
  using.messages.create(request(content, more))

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
  const { content, stop_reason, usage } = await ask('hello', { system: 'be brief' })
  assert.match(content[0].text, /^00000000 /)
  assert.equal(stop_reason, 'end_turn')
  assert.ok(usage.input_tokens > 0 && usage.output_tokens > 0)
}

/** The events as they come, and the SDK's own reading of them. */
async function stream() {
  const events = await Array.fromAsync(await ask('hello', { stream: true }))
  assert.equal(events[0].type, 'message_start')
  assert.ok(events.at(-2).usage.output_tokens > 0)
  assert.equal(events.at(-1).type, 'message_stop')
  let text = ''
  const stream = client.messages.stream(request('hello')).on('text', (more) => (text += more))
  const message = await stream.finalMessage()
  assert.match(text, /00000015 /)
  assert.equal(message.content[0].text, text)
  assert.ok(message.usage.output_tokens > 0)
}

async function thinking() {
  const thinking = { type: 'enabled', budget_tokens: 2048 }
  const answer = await ask('why', { thinking })
  assert.deepEqual(answer.content.map((block) => block.type), ['thinking', 'text'])
  let thought = ''
  const stream = client.messages.stream(request('why', { thinking }))
  stream.on('thinking', (more) => (thought += more))
  const [first, second] = (await stream.finalMessage()).content
  assert.ok(thought && first.signature && second.text)
  assert.equal(first.thinking, thought)
}

/** Two turns: a call, and an answer to its result; whole and streamed. */
async function tools() {
  for (const streamed of [false, true]) {
    const messages = [user('tool:look_up please')]
    const turn = () => {
      const body = { model: MODEL, max_tokens: 8000, messages, tools: [TOOL] }
      return streamed ? client.messages.stream(body).finalMessage() : client.messages.create(body)
    }
    const called = await turn()
    assert.equal(called.stop_reason, 'tool_use')
    const [call] = called.content
    assert.equal(call.name, 'look_up')
    assert.deepEqual(call.input, { q: 'sandbox' })
    const result = { type: 'tool_result', tool_use_id: call.id, content: 'found' }
    messages.push({ role: 'assistant', content: called.content }, user([result]))
    const answered = await turn()
    assert.equal(answered.stop_reason, 'end_turn')
    assert.ok(answered.content[0].text)
  }
}

async function image() {
  const source = { type: 'base64', media_type: 'image/png', data: PIXEL }
  const content = [
    { type: 'image', source },
    { type: 'text', text: 'what is it?' },
  ]
  // The stand-in counts 1200 tokens for an image.
  assert.ok((await ask(content)).usage.input_tokens > 1200)
}

async function models() {
  const all = await Array.fromAsync(client.models.list())
  assert.deepEqual(all.map((model) => model.id), [MODEL])
}

async function count_tokens() {
  const count = await client.messages.countTokens({ model: MODEL, messages: [user('hello')] })
  assert.ok(count.input_tokens > 0)
}

async function errors() {
  const stranger = client.withOptions({ apiKey: 'oc_c-nobody_1_AAAA' })
  await thrown(Anthropic.AuthenticationError, ask('hi', { using: stranger }))
  await thrown(Anthropic.NotFoundError, ask('hi', { model: 'claude-9' }))
  // Refused by the provider, and by the proxy.
  await thrown(Anthropic.BadRequestError, ask('hi [[kimi status=400]]'))
  await thrown(Anthropic.BadRequestError, ask('hi', { max_tokens: 'many', stream: true }))
}

async function failures() {
  await fail(3)
  const using = client.withOptions({ maxRetries: 0 })
  const error = await thrown(Anthropic.InternalServerError, ask('hi', { using }))
  assert.equal(error.status, 503)
  assert.equal(error.headers.get('retry-after'), '2')
  await fail(3)
  const before = await refused()
  assert.ok((await ask('hi')).content[0].text)
  assert.equal(await refused(), before + 3)
}

async function broken_stream() {
  const using = client.withOptions({ apiKey: TOKEN_CUT })
  for (const words of ['cut=3', 'cut=3:reset']) {
    const stream = await ask(`hi [[kimi ${words}]]`, { using, stream: true })
    await thrown(Anthropic.APIError, Array.fromAsync(stream))
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
  const { content, usage } = await ask('oi', { using })
  assert.match(content[0].text, /^Você já usou todos os tokens/)
  assert.equal(usage.input_tokens + usage.output_tokens, 0)
  assert.equal(await using.messages.stream(request('oi')).finalText(), content[0].text)
}

/** More at once than a tenant may have open, each longer than the proxy holds the others. */
const crowd = (using) =>
  Promise.allSettled(Array.from({ length: 12 }, () => ask('hi [[kimi delay=4s]]', { using })))

async function flood() {
  const answers = await crowd(client.withOptions({ maxRetries: 0 }))
  const errors = answers.filter((one) => one.status === 'rejected').map((one) => one.reason)
  assert.equal(errors.length, 4)
  for (const error of errors) {
    assert.ok(error instanceof Anthropic.RateLimitError, error)
    assert.equal(error.headers.get('retry-after'), '1')
  }
  for (const { value } of await crowd(client.withOptions({ maxRetries: 5 }))) {
    assert.ok(value?.content[0].text)
  }
}

for (const run of [
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
]) {
  await run()
  console.log(run.name)
}
