-- Books reservations whose lease has passed, as estimated. ARGV: how many at most
-- Returns for each what its proxy would have known: whoever reaps it keeps it as its own.
if redis.call('GET', 'oc:ready') ~= EPOCH then return {} end
local now = clock()
local requests = redis.call('ZRANGEBYSCORE', 'oc:leases', '-inf', '(' .. number(now), 'LIMIT', 0, ARGV[1])
local reaped = {}
for _, request in ipairs(requests) do
  local id, r, settlement = settle(request)
  if id then
    close(request)
    reaped[#reaped + 1] = {id, request, r[1], r[2], r[3], r[4], r[6], r[5], settlement}
  else
    redis.call('ZREM', 'oc:leases', request)
  end
end
return reaped
