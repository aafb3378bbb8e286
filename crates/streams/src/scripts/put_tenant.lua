-- Mirrors a tenant. ARGV: tenant, version, generation, state, account, policy, models
-- An older version than the one that is known changes nothing, and revocation is final.
local key = 'oc:t:' .. ARGV[1]
local known = redis.call('HMGET', key, 'version', 'generation')
if tonumber(known[1] or 0) > tonumber(ARGV[2]) then
  redis.call('HSET', key, 'epoch', EPOCH, 'loaded', number((clock())))
  return 0
end
local generation = math.max(tonumber(known[2] or 0), tonumber(ARGV[3]))
redis.call('HSET', key, 'epoch', EPOCH, 'version', ARGV[2], 'generation', number(generation), 'state',
  ARGV[4], 'account', ARGV[5], 'policy', ARGV[6], 'models', ARGV[7], 'loaded', number((clock())))
return 1
