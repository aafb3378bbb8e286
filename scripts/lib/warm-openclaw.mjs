// Fills a V8 compile cache for the OpenClaw gateway: what of it is loaded up to its first answer is compiled
// here, once, and not at every start of every pod.
//
//   node-linux-*/bin/node warm-openclaw.mjs PACKAGES TENANT OUT
//
//   PACKAGES  the node_modules of OpenClaw; the node that runs this has to be the one in it
//   TENANT    a tenant's objects, as `openclaw-cloud render` writes them
//   OUT       the cache's folder, which must not exist yet. It has to lie beside PACKAGES, here and wherever it is
//             used: modules are known by their path from it
//
// Starts the gateway as the agent would start it for that tenant, between stand-ins for the Bot API and for the
// provider of models, lets it write a file and answer, and ends it. Node writes what it compiled when a process
// ends; the folder gets its name when all of it is there. Needs nothing but loopback; takes half a minute of one
// core, and five minutes at most.
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const LIMIT_MS = 300_000;
const PERSON = { id: 777, type: "private", first_name: "Ana" };
const [packages, tenant, out] = process.argv.slice(2).map((name) => path.resolve(name));
if (!out || path.dirname(out) !== path.dirname(packages) || fs.existsSync(out)) {
  console.error("usage: warm-openclaw.mjs PACKAGES TENANT OUT, where OUT is a new folder beside PACKAGES");
  process.exit(2);
}

async function serve(answer) {
  const server = http.createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += part;
    await answer(request.url, body ? JSON.parse(body) : {}, response);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

async function freePort() {
  const { server, url } = await serve(() => {});
  server.close();
  return Number(new URL(url).port);
}

/** The Bot API of one bot: the person writes once, and `answered` is what they are told. */
function telegram() {
  let tell;
  const answered = new Promise((resolve) => (tell = resolve));
  const updates = [{ update_id: 1, message: { message_id: 1, date: 1_790_000_000, chat: PERSON,
    from: { ...PERSON, is_bot: false }, text: "Anota, por favor: duas caixas." } }];
  const answer = async (url, body, response) => {
    let result = true;
    if (url.endsWith("/getMe")) result = { id: 1, is_bot: true, first_name: "Bot", username: "bot" };
    if (url.endsWith("/getUpdates")) {
      result = updates.splice(0);
      if (result.length === 0) await sleep((body.timeout ?? 0) * 1000, undefined, { ref: false });
    }
    if (url.endsWith("/sendMessage")) {
      result = { message_id: 2, date: 1_790_000_001, chat: PERSON, text: body.text };
      tell(body.text);
    }
    response.setHeader("content-type", "application/json").end(JSON.stringify({ ok: true, result }));
  };
  return { answer, answered };
}

/** A model that writes a file and then says that it has. */
function model() {
  const said = new Set();
  const answer = (_url, body, response) => {
    const done = body.messages?.some((message) => message.role === "tool");
    said.add(done ? "text" : "tool");
    const call = { index: 0, id: "call_1", type: "function",
      function: { name: "write", arguments: JSON.stringify({ path: "nota.txt", content: "duas caixas" }) } };
    const delta = done ? { content: "Anotado." } : { tool_calls: [call] };
    const head = { id: "1", object: "chat.completion.chunk", created: 1_790_000_000, model: body.model };
    response.setHeader("content-type", "text/event-stream");
    for (const choice of [{ delta: { role: "assistant", ...delta }, finish_reason: null },
      { delta: {}, finish_reason: done ? "stop" : "tool_calls" }]) {
      response.write(`data: ${JSON.stringify({ ...head, choices: [{ index: 0, ...choice }] })}\n\n`);
    }
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    response.end(`data: ${JSON.stringify({ ...head, choices: [], usage })}\n\ndata: [DONE]\n\n`);
  };
  return { answer, said };
}

const objects = JSON.parse(fs.readFileSync(tenant, "utf8")).items;
const the = (kind) => objects.find((object) => object.kind === kind);
const pod = the("Deployment").spec.template.spec;

/** The tenant's files and environment, moved to `folder` and to the stand-ins. */
async function prepare(folder, bot, brain) {
  const files = the("ConfigMap").data;
  const environment = {};
  for (const { name, value } of pod.containers[0].env) {
    environment[name] = value.replace("/var/lib/openclaw", folder);
  }
  environment.TMPDIR = path.join(folder, "tmp");
  const [state, workspace] = [environment.OPENCLAW_STATE_DIR, environment.OPENCLAW_WORKSPACE_DIR];
  for (const place of [state, workspace, environment.HOME, environment.TMPDIR]) {
    fs.mkdirSync(place, { recursive: true, mode: 0o700 });
  }
  for (const [name, text] of Object.entries(files)) {
    if (name.endsWith(".md")) fs.writeFileSync(path.join(workspace, name), text);
  }
  const config = JSON.parse(files["openclaw.json"].replaceAll("${OPENCLAW_WORKSPACE_DIR}", workspace)
    .replaceAll("${OPENCLAW_TELEGRAM_TOKEN}", "1:token").replaceAll(/\$\{OPENCLAW_\w+\}/g, "token")
    // Whatever else it would reach is closed.
    .replaceAll(/http:\/\/[\w.-]+\.svc\.cluster\.local:\d+/g, "http://127.0.0.1:9"));
  config.gateway.port = await freePort();
  config.channels.telegram.apiRoot = bot;
  for (const provider of Object.values(config.models.providers)) provider.baseUrl = `${brain}/v1`;
  fs.writeFileSync(path.join(state, "openclaw.json"), JSON.stringify(config), { mode: 0o600 });
  return environment;
}

/** Runs the gateway until the person is answered, and ends it; `cache` is what it fills. */
async function run(folder, cache) {
  const [chat, brain] = [telegram(), model()];
  const [bot, provider] = [await serve(chat.answer), await serve(brain.answer)];
  const log = fs.openSync(path.join(folder, "log"), "w");
  const gateway = spawn(process.execPath, [path.join(packages, "openclaw/openclaw.mjs"), "gateway", "run"], {
    cwd: folder,
    env: {
      ...(await prepare(folder, bot.url, provider.url)),
      PATH: process.env.PATH,
      OPENCLAW_NO_RESPAWN: "1",
      OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED: "1",
      NODE_COMPILE_CACHE: cache,
      NODE_COMPILE_CACHE_PORTABLE: "1",
    },
    stdio: ["ignore", log, log],
  });
  const ended = once(gateway, "exit");
  const late = setTimeout(() => gateway.kill("SIGKILL"), LIMIT_MS);
  await Promise.race([chat.answered, ended]);
  gateway.kill("SIGTERM");
  const [code, signal] = await ended;
  clearTimeout(late);
  for (const { server } of [bot, provider]) {
    server.closeAllConnections();
    server.close();
  }
  if (code !== 0 || !brain.said.has("text") || fs.readdirSync(cache).length === 0) {
    throw new Error(`the gateway ended by ${signal ?? code} too early:\n${fs.readFileSync(path.join(folder, "log"))}`);
  }
}

/** Lets everybody read what this user has filled; the sizes of its files. */
function publish(cache) {
  const sizes = [];
  fs.chmodSync(cache, 0o755);
  for (const tag of fs.readdirSync(cache)) {
    const compiled = path.join(cache, tag);
    for (const name of fs.readdirSync(compiled)) {
      fs.chmodSync(path.join(compiled, name), 0o644);
      sizes.push(fs.statSync(path.join(compiled, name)).size);
    }
    // Node has one folder for all users where a portable cache is filled, and looks for one of its user's where
    // it may only read.
    for (const user of new Set([process.getuid(), pod.securityContext.runAsUser])) {
      fs.symlinkSync(tag, `${compiled}-${user}`);
    }
  }
  return sizes;
}

const began = Date.now();
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "warm-openclaw-"));
const cache = fs.mkdtempSync(`${out}.new-`);
try {
  await run(folder, cache);
  const sizes = publish(cache);
  // Somebody else may have been quicker.
  if (!fs.existsSync(out)) fs.renameSync(cache, out);
  const megabytes = Math.round(sizes.reduce((sum, size) => sum + size, 0) / 1e6);
  console.error(`${sizes.length} modules, ${megabytes} MB, in ${Math.round((Date.now() - began) / 1000)} s`);
} finally {
  fs.rmSync(cache, { recursive: true, force: true });
  fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
