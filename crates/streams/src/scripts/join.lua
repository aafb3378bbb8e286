-- A proxy meets a Redis process. ARGV: proxy, stage it has reached, lease ms, how many proxies were
-- alive when it last knew
--
-- Redis may have lost its last two seconds, or everything. The first proxy to come notes what was
-- left. Then all go through the stages of `Stage` together, none ahead of the others: those that come
-- and those that were alive, unless one lease has passed.
-- Returns the stage that all have reached, and of each earlier process whose data this one has up to
-- where it has it: pairs of run id and last stream id, oldest first.
local LAST_STAGE = 3
local now = clock()
local earlier = redis.call('GET', 'oc:epoch')
if earlier ~= EPOCH then
  pcall(redis.call, 'XGROUP', 'CREATE', 'oc:usage', 'ledger', '0', 'MKSTREAM')
  local info, last = redis.call('XINFO', 'STREAM', 'oc:usage'), '0-0'
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
  if earlier then
    redis.call('RPUSH', 'oc:epochs', earlier, last)
    redis.call('LTRIM', 'oc:epochs', -200, -1)
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
  redis.call('HSET', 'oc:recovery', 'began', number(now), 'alive', 0)
end
redis.call('ZADD', 'oc:proxies', number(now), ARGV[1])
redis.call('HSET', 'oc:joined', ARGV[1], ARGV[2])
local recovery = redis.call('HMGET', 'oc:recovery', 'began', 'alive')
-- Where Redis has forgotten who was alive, the proxies know how many.
local alive = math.max(tonumber(recovery[2]), tonumber(ARGV[4]))
redis.call('HSET', 'oc:recovery', 'alive', alive)
local reached = tonumber(ARGV[2])
if redis.call('GET', 'oc:ready') == EPOCH then
  reached = LAST_STAGE
elseif now - tonumber(recovery[1]) <= tonumber(ARGV[3]) then
  for _, stage in ipairs(redis.call('HVALS', 'oc:joined')) do
    reached = math.min(reached, tonumber(stage))
  end
  if redis.call('HLEN', 'oc:joined') < alive then reached = 0 end
  for _, proxy in ipairs(redis.call('SMEMBERS', 'oc:expected')) do
    if redis.call('HEXISTS', 'oc:joined', proxy) == 0 then reached = 0 end
  end
end
if reached == LAST_STAGE then redis.call('SET', 'oc:ready', EPOCH) end
return {reached, redis.call('LRANGE', 'oc:epochs', 0, -1)}
