-- Admits one request or says why not: state, rate, concurrency, model and quota in one step.
--
-- ARGV: request, tenant, generation, model, input estimate, output wanted, least output that is
--       of use, lease ms, microseconds between requests, burst, concurrent requests at most
local request, tenant, model = ARGV[1], ARGV[2], ARGV[4]
local input, wanted, least = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

if redis.call('GET', 'oc:ready') ~= EPOCH then return {RECOVERING} end
local now, us = clock()

local tenant_key = 'oc:t:' .. tenant
local t = redis.call('HMGET', tenant_key, 'epoch', 'generation', 'state', 'account', 'policy',
  'models', 'tat', 'open', 'loaded')
if t[1] ~= EPOCH then return {UNKNOWN_TENANT} end
-- Nobody is refused on what is old.
if t[2] ~= ARGV[3] then
  return {is_old(tenant_key, t[9], now) and UNKNOWN_TENANT or REVOKED}
end
local account, policy, open = t[4], t[5], tonumber(t[8] or 0)

local interval = tonumber(ARGV[9])
local tat = math.max(tonumber(t[7] or 0), us)
local wait = tat - us - (tonumber(ARGV[10]) - 1) * interval
if wait > 0 then return {RATE_LIMITED, math.ceil(wait / 1000)} end
-- What follows counts against the rate, admitted or not.
tat = number(tat + interval)
if t[3] ~= 'active' then
  if is_old(tenant_key, t[9], now) then return {UNKNOWN_TENANT} end
  redis.call('HSET', tenant_key, 'tat', tat)
  return {SUSPENDED, policy}
end
if open >= tonumber(ARGV[11]) then return {BUSY} end
if not string.find(t[6], ' ' .. model .. ' ', 1, true) then
  if is_old(tenant_key, t[9], now) then return {UNKNOWN_TENANT} end
  redis.call('HSET', tenant_key, 'tat', tat)
  return {OTHER_MODEL, policy}
end

local period, ends, limit, loaded = current_period(account, now)
if period == UNKNOWN_PERIODS then return {UNKNOWN_PERIODS, account} end
if not period then
  redis.call('HSET', tenant_key, 'tat', tat)
  return {UNPAID, policy}
end

local usage_key = 'oc:u:' .. period
local u = redis.call('HMGET', usage_key, 'used', 'reserved')
if not u[1] then return {UNKNOWN_PERIODS, account} end
local used, reserved = tonumber(u[1]), tonumber(u[2] or 0)
local left = limit - used - reserved - input
if left < least then
  if is_old('oc:p:' .. account, loaded, now) then return {UNKNOWN_PERIODS, account} end
  redis.call('HSET', tenant_key, 'tat', tat)
  return {QUOTA_SPENT, policy, limit, used, reserved, ends}
end
local granted = math.min(wanted, left)
local amount = input + granted

local old_tenant = is_old(tenant_key, t[9], now)
local refresh = (is_old('oc:p:' .. account, loaded, now) or old_tenant) and 1 or 0
redis.call('HSET', tenant_key, 'tat', tat, 'open', open + 1)
redis.call('HINCRBY', usage_key, 'reserved', number(amount))
open_reservation(request, tenant, account, period, model, input, amount, 0, now + tonumber(ARGV[8]))
-- One string, since the proxy's parser takes its time for each element of a list.
return table.concat({ADMITTED, policy, account, period, number(granted), number(limit), number(used),
  number(reserved + amount), number(ends), refresh}, '\n')
