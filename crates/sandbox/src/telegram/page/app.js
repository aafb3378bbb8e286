'use strict';
// One page: the list of chats and, where the path names one, a chat. What it shows comes as events.
const words = {
  pt: { iam: 'Você é', newbot: 'Novo bot ou nova pessoa', botname: 'Nome do bot', username: 'usuario_bot', create: 'Criar bot',
    personname: 'Nome da pessoa', add: 'Adicionar', start: 'Iniciar', write: 'Mensagem', attach: 'Anexar', send: 'Enviar',
    choose: 'Escolha uma conversa', typing: 'digitando…', bot: 'bot', block: 'bloquear', unblock: 'desbloquear', blocked: 'bloqueado',
    nobots: 'Ainda não há bots.', edited: 'editada', today: 'hoje', yesterday: 'ontem', token: 'token',
    photo: '🖼 Foto', document: '📎 Documento', voice: '🎤 Mensagem de voz', offline: 'sem conexão…' },
  en: { iam: 'You are', newbot: 'New bot or person', botname: 'Name of the bot', username: 'user_name_bot', create: 'Create bot',
    personname: 'Name of the person', add: 'Add', start: 'Start', write: 'Message', attach: 'Attach', send: 'Send',
    choose: 'Choose a chat', typing: 'typing…', bot: 'bot', block: 'block', unblock: 'unblock', blocked: 'blocked',
    nobots: 'There are no bots yet.', edited: 'edited', today: 'today', yesterday: 'yesterday', token: 'token',
    photo: '🖼 Photo', document: '📎 Document', voice: '🎤 Voice message', offline: 'offline…' },
};
const language = navigator.language.toLowerCase().startsWith('pt') ? 'pt' : 'en';
const say = words[language];
document.documentElement.lang = language === 'pt' ? 'pt-BR' : 'en';
for (const it of document.querySelectorAll('[data-say]')) it.textContent = say[it.dataset.say];
for (const it of document.querySelectorAll('[data-hint]')) it.placeholder = say[it.dataset.hint];
for (const it of document.querySelectorAll('[data-title]')) it.title = say[it.dataset.title];

const at = (id) => document.getElementById(id);
const make = (tag, look, text) => {
  const it = document.createElement(tag);
  if (look) it.className = look;
  if (text !== undefined) it.textContent = text;
  return it;
};
const [, place, user, bot] = location.pathname.split('/');
const here = place === 'chat' && bot ? { user: Number(user), bot } : null;
const code = new URLSearchParams(location.search).get('start');
document.body.classList.toggle('chat', !!here);
document.querySelector('main').classList.toggle('none', !here);

async function tell(route, body) {
  const answer = await fetch('/_control/' + route, { method: 'POST', body: JSON.stringify(body) });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString(document.documentElement.lang, { hour: '2-digit', minute: '2-digit' });
function face(it, name) {
  it.textContent = (name || '?').trim().slice(0, 1).toUpperCase();
  it.dataset.hue = [...(name || '')].reduce((sum, c) => sum + c.codePointAt(0), 0) % 5;
}
const summary = (one) => one.text || (one.media && (say[one.media.kind] || say.document)) || '';

// -- the list
const me = () => (here ? here.user : Number(localStorage.me) || 0);
function showList(list) {
  const select = at('me');
  const current = list.users.some((it) => it.id === me()) ? me() : (list.users[0] || {}).id;
  const users = JSON.stringify([list.users, current]);
  // An open menu stays open while others talk.
  if (select.dataset.users !== users) {
    select.dataset.users = users;
    select.replaceChildren(...list.users.map((it) => new Option(it.first_name, it.id, false, it.id === current)));
  }
  const rows = list.bots.map((it) => ({ ...it, chat: it.chats.find((chat) => chat.user === current) }));
  const time = (row) => (row.chat && row.chat.last ? row.chat.last.at : 0);
  rows.sort((a, b) => time(b) - time(a));
  at('chats').replaceChildren(...rows.map((row) => {
    const link = make('a');
    link.href = `/chat/${current || 777}/${row.bot.username}`;
    if (here && row.bot.username.toLowerCase() === here.bot.toLowerCase()) link.setAttribute('aria-current', 'page');
    const round = make('span', 'face');
    face(round, row.bot.first_name);
    const text = make('div');
    const top = make('div', 'row');
    const last = row.chat && row.chat.last;
    top.append(make('strong', '', row.bot.first_name));
    if (last) top.append(make('time', '', clock(last.at)));
    text.append(top, make('small', '', last ? summary(last) : '@' + row.bot.username));
    link.append(round, text);
    return link;
  }));
  if (!rows.length) at('chats').append(make('p', '', say.nobots));
  if (!list.users.length) tell('users', { first_name: 'Ana', language_code: language === 'pt' ? 'pt-br' : 'en' });
}
at('me').addEventListener('change', (event) => {
  localStorage.me = event.target.value;
  location.href = here ? `/chat/${event.target.value}/${here.bot}` : '/';
});
at('newbot').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  const said = form.querySelector('output');
  try {
    const made = await tell('bots', { name: form.name.value, username: form.username.value });
    said.textContent = `@${made.username} · ${say.token}: ${made.token}`;
  } catch (error) {
    said.textContent = error.message;
  }
});
at('newuser').addEventListener('submit', async (event) => {
  event.preventDefault();
  const form = event.target;
  const made = await tell('users', { first_name: form.first_name.value, language_code: form.language_code.value });
  localStorage.me = made.id;
  location.href = here ? `/chat/${made.id}/${here.bot}` : '/';
});

// -- a chat
const seen = new Map();
let typing = 0;
function bubble(one) {
  const row = make('div', 'one' + (one.mine ? ' mine' : ''));
  const box = make('div', 'bubble');
  if (one.media) box.append(media(one.media));
  const text = make('span', 'words');
  // The stand-in has made it safe: a few tags, all else escaped.
  text.innerHTML = one.html;
  const time = make('time', '', (one.edited ? say.edited + ' ' : '') + clock(one.at));
  box.append(text, time);
  row.append(box);
  if (one.buttons) row.append(keys(one));
  return row;
}
function media(it) {
  if (it.kind === 'photo' || it.kind === 'sticker') {
    const image = make('img');
    image.src = it.url;
    image.alt = say.photo;
    image.addEventListener('load', down);
    return image;
  }
  if (it.kind === 'voice' || it.kind === 'audio') {
    const sound = make('audio');
    sound.src = it.url;
    sound.controls = true;
    return sound;
  }
  const link = make('a', 'doc');
  link.href = it.url;
  link.download = it.name || '';
  const text = make('span', '', it.name || it.kind);
  text.append(make('small', '', it.size > 1e6 ? (it.size / 1e6).toFixed(1) + ' MB' : Math.ceil(it.size / 1e3) + ' kB'));
  link.append(make('b', '', '↓'), text);
  return link;
}
function keys(one) {
  const all = make('div', 'keys');
  for (const row of one.buttons) {
    const line = make('div');
    for (const key of row) {
      if (key.url) {
        const link = make('a', '', key.text + ' ↗');
        if (/^https?:/.test(key.url)) link.href = key.url;
        link.target = '_blank';
        link.rel = 'noopener noreferrer';
        line.append(link);
      } else {
        const button = make('button', '', key.text);
        button.addEventListener('click', () => {
          if (key.copy_text) navigator.clipboard.writeText(key.copy_text.text);
          else tell('press', { user: here.user, bot: here.bot, message_id: one.id, data: key.callback_data });
        });
        line.append(button);
      }
    }
    all.append(line);
  }
  return all;
}
function down() {
  const log = at('log');
  log.scrollTop = log.scrollHeight;
}
// A keyboard that opens leaves less room.
addEventListener('resize', down);
function day(seconds) {
  const date = new Date(seconds * 1000);
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(date).setHours(0, 0, 0, 0)) / 864e5);
  return days === 0 ? say.today : days === 1 ? say.yesterday : date.toLocaleDateString(document.documentElement.lang, { day: 'numeric', month: 'long' });
}
function showChat(chat, first) {
  const log = at('log');
  const low = log.scrollHeight - log.scrollTop - log.clientHeight < 120;
  document.title = chat.bot.first_name;
  at('title').textContent = chat.bot.first_name;
  face(at('face'), chat.bot.first_name);
  const old = document.querySelector('.typing');
  if (old) old.remove();
  for (const one of chat.messages) {
    const known = seen.get(one.id);
    if (one.deleted) {
      if (known) known.remove();
      seen.delete(one.id);
      continue;
    }
    const row = bubble(one);
    if (known) known.replaceWith(row);
    else {
      const label = day(one.at);
      if (log.dataset.day !== label) {
        log.dataset.day = label;
        log.append(make('div', 'day', label));
      }
      if (!first) row.classList.add('new');
      log.append(row);
    }
    seen.set(one.id, row);
  }
  const busy = chat.action && !chat.blocked;
  if (busy) {
    const row = make('div', 'one typing');
    const box = make('div', 'bubble');
    box.append(make('i'), make('i'), make('i'));
    row.append(box);
    log.append(row);
    clearTimeout(typing);
    typing = setTimeout(() => {
      row.remove();
      status(chat, false);
    }, 5200);
  }
  status(chat, busy);
  at('block').textContent = chat.blocked ? say.unblock : say.block;
  at('block').onclick = () => tell(chat.blocked ? 'unblock' : 'block', { user: here.user, bot: here.bot });
  document.querySelector('main').classList.toggle('starting', !seen.size || !!code);
  if (low || first) down();
}
function status(chat, busy) {
  at('status').textContent = chat.blocked ? say.blocked : busy ? say.typing : say.bot;
  at('status').classList.toggle('on', !!busy);
}
async function send() {
  const text = at('text').value.trim();
  if (!text) return;
  at('text').value = '';
  grow();
  await tell('say', { user: here.user, bot: here.bot, text });
  down();
}
function grow() {
  const text = at('text');
  text.style.height = 'auto';
  text.style.height = text.scrollHeight + 2 + 'px';
}
async function attach(file) {
  const kind = /^image\/(png|jpeg|webp)$/.test(file.type) ? 'photo' : /^audio\/ogg/.test(file.type) ? 'voice' : 'document';
  const query = new URLSearchParams({ user: here.user, bot: here.bot, kind, name: file.name, caption: at('text').value.trim() });
  at('text').value = '';
  await fetch('/_control/file?' + query, { method: 'POST', body: file, headers: { 'content-type': file.type || 'application/octet-stream' } });
}
at('say').addEventListener('submit', (event) => {
  event.preventDefault();
  send();
});
at('text').addEventListener('input', grow);
at('text').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
at('text').addEventListener('paste', (event) => {
  const [file] = event.clipboardData.files;
  if (file) attach(file);
});
at('file').addEventListener('change', (event) => {
  const [file] = event.target.files;
  if (file) attach(file);
  event.target.value = '';
});
at('start').addEventListener('click', async () => {
  await tell('say', { user: here.user, bot: here.bot, text: code ? '/start ' + code : '/start' });
  location.replace(location.pathname);
});
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (here && file) attach(file);
});

function follow() {
  const events = new EventSource('/_events' + (here ? `?user=${here.user}&bot=${encodeURIComponent(here.bot)}` : ''));
  let first = true;
  events.onopen = () => {
    // A stream that begins again begins with everything.
    seen.clear();
    at('log').replaceChildren();
    delete at('log').dataset.day;
    first = true;
  };
  events.onmessage = (event) => {
    const { list, chat } = JSON.parse(event.data);
    showList(list);
    if (chat) showChat(chat, first);
    first = false;
  };
  events.onerror = () => {
    if (here) at('status').textContent = say.offline;
  };
}
follow();
