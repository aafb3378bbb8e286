-- Ends reservations with what was used. ARGV: request, charged and settlement (JSON) of each
-- Returns for each its event's place, or nothing if it has ended.
local places = {}
for i = 1, #ARGV, 3 do
  -- The place alone: `settle` returns more for the reaper.
  local place = settle(ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2])
  places[#places + 1] = place
end
return places
