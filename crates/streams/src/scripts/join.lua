-- A proxy meets a Redis process. ARGV: proxy, stage it has reached (1: its consumer rests, 2: it
-- has replayed), lease ms
--
-- Redis may have lost its last two seconds, or everything. The first proxy to come notes what was
-- left. Each proxy then stops writing to Postgres (1), brings back what it knows to be missing (2),
-- and when every proxy that was alive has done so, or one lease has passed, requests are admitted.
-- Returns whether all have reached stage 1, and 2, whether nothing was left, and the last stream id
-- that was.
local now = clock()
if redis.call('GET', 'oc:epoch') ~= EPOCH then
  local empty = redis.call('EXISTS', 'oc:epoch') == 0
  pcall(redis.call, 'XGROUP', 'CREATE', 'oc:usage', 'ledger', '0', 'MKSTREAM')
  local info, last = redis.call('XINFO', 'STREAM', 'oc:usage'), '0-0'
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
  redis.call('DEL', 'oc:ready', 'oc:joined', 'oc:expected')
  -- Alive were those that had shown it shortly before the last that is known.
  local newest = redis.call('ZREVRANGE', 'oc:proxies', 0, 0, 'WITHSCORES')[2]
  if newest then
    for _, proxy in ipairs(redis.call('ZRANGEBYSCORE', 'oc:proxies', number(newest - 5000), '+inf')) do
      redis.call('SADD', 'oc:expected', proxy)
    end
  end
  redis.call('SET', 'oc:epoch', EPOCH)
  redis.call('HSET', 'oc:recovery', 'began', number(now), 'last', last, 'empty', empty and 1 or 0)
end
redis.call('ZADD', 'oc:proxies', number(now), ARGV[1])
redis.call('HSET', 'oc:joined', ARGV[1], ARGV[2])
local recovery = redis.call('HMGET', 'oc:recovery', 'began', 'last', 'empty')
local reached = 2
if now - tonumber(recovery[1]) <= tonumber(ARGV[3]) then
  for _, proxy in ipairs(redis.call('SMEMBERS', 'oc:expected')) do
    reached = math.min(reached, tonumber(redis.call('HGET', 'oc:joined', proxy) or 0))
  end
end
if tonumber(ARGV[2]) < 2 then reached = math.min(reached, 1) end
if reached == 2 then redis.call('SET', 'oc:ready', EPOCH) end
local ready = redis.call('GET', 'oc:ready') == EPOCH and 1 or 0
return {math.min(reached, 1), ready, tonumber(recovery[3]), recovery[2]}
