-- Put before every script. The run id of this Redis process is part of the text, so a script that
-- was loaded before Redis was restarted does not exist after it, and its caller learns of the
-- restart at once: NOSCRIPT. The codes are the variants of `Verdict`.
local ADMITTED, RECOVERING, UNKNOWN_TENANT, UNKNOWN_PERIODS, REVOKED, SUSPENDED = 0, 1, 2, 3, 4, 5
local RATE_LIMITED, BUSY, OTHER_MODEL, UNPAID, QUOTA_SPENT = 6, 7, 8, 9, 10
local REFRESH_MS = 60000

-- Lua prints large numbers with an exponent otherwise.
local function number(n) return string.format('%.0f', n) end

-- Milliseconds and microseconds after 1970; one clock for all proxies.
local function clock()
  local t = redis.call('TIME')
  local us = t[1] * 1000000 + t[2]
  return math.floor(us / 1000), us
end

-- Whether what the mirror says is to be looked up in Postgres, in case that a change was not
-- mirrored: once a minute, and by one caller.
local function is_old(key, loaded, now)
  if now - tonumber(loaded or 0) <= REFRESH_MS then return false end
  redis.call('HSET', key, 'loaded', number(now))
  return true
end

-- The billing period of the account at this time: its id, end, limit, and when it was loaded. Two
-- are known, this one and the next, so a renewal has no gap.
local function current_period(account, now)
  local p = redis.call('HMGET', 'oc:p:' .. account, 'epoch', 'loaded', 'id0', 'starts0', 'ends0',
    'limit0', 'id1', 'starts1', 'ends1', 'limit1')
  if p[1] ~= EPOCH then return UNKNOWN_PERIODS end
  local loaded = tonumber(p[2])
  for i = 3, 7, 4 do
    if p[i] and tonumber(p[i + 1]) <= now and now < tonumber(p[i + 2]) then
      return p[i], tonumber(p[i + 2]), tonumber(p[i + 3]), loaded
    end
  end
  -- None is known: the next one may have been made since.
  if now - loaded > 1000 then return UNKNOWN_PERIODS end
end

local function open_reservation(request, tenant, account, period, model, input, amount, output, expires)
  redis.call('HSET', 'oc:r:' .. request, 'tenant', tenant, 'account', account, 'period', period,
    'model', model, 'input', number(input), 'amount', number(amount), 'output', number(output))
  redis.call('ZADD', 'oc:leases', number(expires), request)
end

-- Where no usage of the period is known, it counts from here on, beginning with what the ledger has.
local function begin_count(period, used)
  local key = 'oc:u:' .. period
  if redis.call('HSETNX', key, 'used', used) == 1 then redis.call('HSET', key, 'since', EPOCH) end
end

-- The number of a process that has written to this log; 0 of one whose data are lost.
local function number_of(process)
  if process == EPOCH then return math.huge end
  local epochs = redis.call('LRANGE', 'oc:epochs', 0, -1)
  for i = #epochs - 1, 1, -2 do
    if epochs[i] == process then return i end
  end
  return 0
end

-- Whether the period's count began in a later process than `process`: then what that one had booked
-- is part of the count if it was in the ledger by then.
local function began_after(period, process)
  local since = redis.call('HGET', 'oc:u:' .. period, 'since')
  return since and number_of(since) > number_of(process)
end

-- Books `charged` of the quota and writes the usage event; both or none.
local function book(request, tenant, account, period, model, charged, settlement)
  redis.call('HINCRBY', 'oc:u:' .. period, 'used', number(charged))
  return redis.call('XADD', 'oc:usage', '*', 'request', request, 'tenant', tenant, 'account', account,
    'period', period, 'model', model, 'settlement', settlement)
end

-- What is booked for a request that nobody settled: the estimate of its input, and the output that
-- was last heard of.
local function expired(r)
  local input, output, amount = tonumber(r[6]), tonumber(r[7]), tonumber(r[5])
  local charged = math.min(input + output, amount)
  local settlement = string.format('{"upstream":"","tokens":{"input":%.0f,"cached_input":0,'
    .. '"output":%.0f,"reasoning":0},"charged":%.0f,"excess":%.0f,"cost_nano_usd":0,'
    .. '"outcome":"expired","measured":false,"attempts":0,"first_byte_ms":null,"finished_ms":%.0f}',
    input, output, charged, input + output - charged, (clock()))
  return charged, settlement
end

-- Ends a reservation: what it held is free, what was used is booked. Returns the event's place, and
-- what was booked of whom; nothing if it has ended.
local function settle(request, charged, settlement)
  local key = 'oc:r:' .. request
  local r = redis.call('HMGET', key, 'tenant', 'account', 'period', 'model', 'amount', 'input', 'output')
  if not r[1] then return false end
  if not settlement then charged, settlement = expired(r) end
  redis.call('DEL', key)
  redis.call('ZREM', 'oc:leases', request)
  -- Not `-amount`: Redis knows no "-0".
  redis.call('HINCRBY', 'oc:u:' .. r[3], 'reserved', number(0 - r[5]))
  redis.call('HINCRBY', 'oc:t:' .. r[1], 'open', -1)
  return book(request, r[1], r[2], r[3], r[4], charged, settlement), r, settlement
end

-- Notes that the request has been booked by another than its proxy, or during a recovery, and is not
-- to be brought back. A day: longer than any proxy is away and comes back with what it knew.
local function close(request)
  redis.call('SET', 'oc:closed:' .. request, 1, 'PX', 86400000)
end

local function is_closed(request)
  return redis.call('EXISTS', 'oc:closed:' .. request) == 1
end

-- What is missing to bring back a request that is not reserved: 0, the period's usage has to be loaded
-- first; 2, whether it is in the ledger has to be known. 1 if nothing is to be brought back: the count
-- began with it.
local function missing(request, period, process, in_ledger)
  if redis.call('EXISTS', 'oc:r:' .. request) == 1 then return nil end
  if redis.call('HEXISTS', 'oc:u:' .. period, 'used') == 0 then return 0 end
  if in_ledger == '0' or not began_after(period, process) then return nil end
  return in_ledger == '1' and 1 or 2
end
