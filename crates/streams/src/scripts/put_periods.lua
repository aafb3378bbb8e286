-- Mirrors the account's current and next period. ARGV: account, then id, start, end, limit and
-- usage of each. Usage is taken only where none is known: from then on Redis counts.
local key = 'oc:p:' .. ARGV[1]
local now = number((clock()))
redis.call('DEL', key)
redis.call('HSET', key, 'epoch', EPOCH, 'loaded', now)
for i = 0, 1 do
  local id, starts, ends, limit, used = unpack(ARGV, 2 + 5 * i, 6 + 5 * i)
  if id then
    redis.call('HSET', key, 'id' .. i, id, 'starts' .. i, starts, 'ends' .. i, ends, 'limit' .. i, limit)
    begin_count(id, used)
    -- Late settlements find it; a month later nobody asks.
    redis.call('PEXPIREAT', 'oc:u:' .. id, number(ends + 2678400000))
  end
end
return 1
