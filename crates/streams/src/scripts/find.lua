-- Which of these requests have an event on the stream. ARGV: first stream id, requests
local wanted, found = {}, {}
for i = 2, #ARGV do wanted[ARGV[i]] = true end
for _, entry in ipairs(redis.call('XRANGE', 'oc:usage', ARGV[1], '+')) do
  local request = entry[2][2]
  if wanted[request] then found[#found + 1] = {request, entry[1]} end
end
return found
