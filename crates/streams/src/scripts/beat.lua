-- One sign of life of a proxy: renews its leases and learns how far the ledger is.
--
-- ARGV: proxy, lease ms, then request and output so far of each open reservation
-- Returns how many proxies are alive, up to which stream id all events are in the ledger (before it,
-- or with it), how many milliseconds the oldest of the others waits, and the requests that have ended
-- without their proxy.
local now = clock()
local gone = {}
local expires = number(now + tonumber(ARGV[2]))
for i = 3, #ARGV, 2 do
  local key = 'oc:r:' .. ARGV[i]
  if redis.call('EXISTS', key) == 1 then
    redis.call('HSET', key, 'output', ARGV[i + 1])
    redis.call('ZADD', 'oc:leases', expires, ARGV[i])
  else
    gone[#gone + 1] = ARGV[i]
  end
end
redis.call('ZADD', 'oc:proxies', number(now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', 'oc:proxies', '-inf', number(now - 60000))
local alive = redis.call('ZCOUNT', 'oc:proxies', number(now - 5000), '+inf')
local pending = redis.call('XPENDING', 'oc:usage', 'ledger')
-- All before the oldest unacknowledged event, or all that was delivered, is in the ledger.
local first, inclusive = pending[2], 0
if not first then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', 'oc:usage')) do
    if group[2] == 'ledger' then first, inclusive = group[8], 1 end
  end
end
redis.call('XTRIM', 'oc:usage', 'MINID', '~', first)
local waiting = redis.call('XRANGE', 'oc:usage', (inclusive == 1 and '(' or '') .. first, '+', 'COUNT', 1)
local since = waiting[1] and tonumber(string.match(waiting[1][1], '^%d+')) or now
return {alive, first, inclusive, math.max(now - since, 0), gone}
